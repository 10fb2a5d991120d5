package redissim

import (
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// hasten replaces what the scripts call most often of the interpreter's
// libraries, where that is slow: a number as text, and the patterns that take
// apart the addresses of entries and the end of the chain.
func hasten(l *lua.LState) {
	library := l.GetGlobal("string").(*lua.LTable)
	format, match := library.RawGetString("format").(*lua.LFunction), library.RawGetString("match").(*lua.LFunction)
	library.RawSetString("format", l.NewFunction(func(l *lua.LState) int {
		if n, ok := l.Get(2).(lua.LNumber); ok && l.GetTop() == 2 && l.CheckString(1) == "%.0f" {
			l.Push(lua.LString(strconv.FormatFloat(float64(n), 'f', 0, 64)))
			return 1
		}
		return format.GFunction(l)
	}))
	library.RawSetString("match", l.NewFunction(func(l *lua.LState) int {
		if l.GetTop() == 2 {
			if fast := patterns[l.CheckString(2)]; fast != nil {
				return fast(l, l.CheckString(1))
			}
		}
		return match.GFunction(l)
	}))
}

// patterns are those that are matched without the library.
var patterns = map[string]func(l *lua.LState, text string) int{
	"^(%d+):()":    matchLength,
	"^(%d+) (.*)$": matchNumber,
}

// digits is how many digits a text begins with.
func digits(text string) int {
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	return n
}

func matchLength(l *lua.LState, text string) int {
	n := digits(text)
	if n == 0 || n == len(text) || text[n] != ':' {
		l.Push(lua.LNil)
		return 1
	}
	l.Push(lua.LString(text[:n]))
	l.Push(lua.LNumber(n + 2)) // counted from 1
	return 2
}

func matchNumber(l *lua.LState, text string) int {
	number, rest, ok := strings.Cut(text, " ")
	if !ok || number == "" || digits(number) != len(number) {
		l.Push(lua.LNil)
		return 1
	}
	l.Push(lua.LString(number))
	l.Push(lua.LString(rest))
	return 2
}
