package redissim

import (
	"strings"
	"sync"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// compiled has every script that was ever run, by its text: thousands of
// servers run the same few.
var compiled sync.Map // of *lua.FunctionProto

func compile(name, source string) (*lua.FunctionProto, error) {
	if proto, ok := compiled.Load(source); ok {
		return proto.(*lua.FunctionProto), nil
	}
	chunk, err := parse.Parse(strings.NewReader(source), name)
	if err != nil {
		return nil, err
	}
	proto, err := lua.Compile(chunk, name)
	if err != nil {
		return nil, err
	}
	compiled.Store(source, proto)
	return proto, nil
}
