package redissim

import (
	"errors"
	"strconv"
	"strings"
	"sync"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// status is a reply such as OK, which Lua sees as a table.
type status string

// states has interpreters that no server uses: making one costs as much as
// running dozens of scripts. A script leaves nothing behind in one: Redis allows
// no global variables.
var states sync.Pool // of *lua.LState

// startLua takes an interpreter, with as much of the libraries as the scripts
// may use.
func (r *Redis) startLua() {
	r.lua, _ = states.Get().(*lua.LState)
	if r.lua == nil {
		r.lua = newState()
	}
	library := r.lua.NewTable()
	library.RawSetString("call", r.lua.NewFunction(func(l *lua.LState) int { return r.call(l, true) }))
	library.RawSetString("pcall", r.lua.NewFunction(func(l *lua.LState) int { return r.call(l, false) }))
	r.lua.SetGlobal("redis", library)
	r.keys = r.lua.NewTable()
	r.lua.SetGlobal("KEYS", r.keys)
}

func newState() *lua.LState {
	l := lua.NewState(lua.Options{SkipOpenLibs: true})
	for _, open := range []lua.LGFunction{lua.OpenBase, lua.OpenTable, lua.OpenString, lua.OpenMath} {
		l.Push(l.NewFunction(open))
		l.Call(0, 0)
	}
	hasten(l)
	return l
}

// Eval runs a script, which is compiled once for its name. The reply has the
// types of a Redis client: nil, string, int64, []any.
func (r *Redis) Eval(name, source, key string, args []string) (any, error) {
	proto, err := compile(name, source)
	if err != nil {
		return nil, err
	}
	r.keys.RawSetInt(1, lua.LString(key))
	argv := r.lua.CreateTable(len(args), 0)
	for i, arg := range args {
		argv.RawSetInt(i+1, lua.LString(arg))
	}
	r.lua.SetGlobal("ARGV", argv)
	top := r.lua.GetTop()
	defer r.lua.SetTop(top)
	r.lua.Push(r.lua.NewFunctionFromProto(proto))
	if err := r.lua.PCall(0, 1, nil); err != nil {
		var failed *lua.ApiError
		if errors.As(err, &failed) {
			return nil, errors.New(failed.Object.String())
		}
		return nil, err
	}
	reply := r.lua.Get(-1)
	if table, ok := reply.(*lua.LTable); ok {
		if failed, ok := table.RawGetString("err").(lua.LString); ok {
			return nil, errors.New(string(failed))
		}
	}
	return fromLua(reply), nil
}

// call is redis.call, or redis.pcall, which returns an error as a table.
func (r *Redis) call(l *lua.LState, raise bool) int {
	args := make([]string, l.GetTop())
	for i := range args {
		switch v := l.Get(i + 1).(type) {
		case lua.LString:
			args[i] = string(v)
		case lua.LNumber:
			args[i] = strconv.FormatFloat(float64(v), 'g', 17, 64)
		default:
			l.RaiseError("an argument of a command is neither a string nor a number")
		}
	}
	reply, err := r.command(args)
	if err != nil {
		if raise {
			l.RaiseError("%s", err.Error())
		}
		failed := l.NewTable()
		failed.RawSetString("err", lua.LString(err.Error()))
		l.Push(failed)
		return 1
	}
	l.Push(toLua(l, reply))
	return 1
}

func toLua(l *lua.LState, reply any) lua.LValue {
	switch v := reply.(type) {
	case string:
		return lua.LString(v)
	case int:
		return lua.LNumber(v)
	case status:
		table := l.CreateTable(0, 1)
		table.RawSetString("ok", lua.LString(v))
		return table
	case []string:
		table := l.CreateTable(len(v), 0)
		for i, element := range v {
			table.RawSetInt(i+1, lua.LString(element))
		}
		return table
	case []any:
		table := l.CreateTable(len(v), 0)
		for i, element := range v {
			table.RawSetInt(i+1, toLua(l, element))
		}
		return table
	}
	return lua.LFalse // nil
}

// fromLua is what Redis makes of a script's value.
func fromLua(value lua.LValue) any {
	switch v := value.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return int64(v)
	case lua.LBool:
		if v {
			return int64(1)
		}
	case *lua.LTable:
		out := []any{}
		for i := 1; ; i++ {
			element := v.RawGetInt(i)
			if element == lua.LNil {
				return out
			}
			out = append(out, fromLua(element))
		}
	}
	return nil
}

var errArguments = errors.New("ERR wrong number or type of arguments")

func wrongType() error {
	return errors.New("WRONGTYPE Operation against a key holding the wrong kind of value")
}

func notInteger() error { return errors.New("ERR value is not an integer or out of range") }

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
