package rooms_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "rollcall"

// Below main there are three that know rooms and not each other. Everything
// else in the module is a leaf that they and main may use.
var middle = []string{module + "/internal/socketio", module + "/internal/httpapi", module + "/adapter"}

// main and the programs beside it may import anything.
func isTop(pkg string) bool {
	return pkg == module || strings.HasPrefix(pkg, module+"/e2e") || strings.HasPrefix(pkg, module+"/bench")
}

// badImport says what is wrong with an import between packages of the module.
func badImport(from, to string) string {
	inMiddle := func(pkg string) bool {
		return slices.ContainsFunc(middle, func(m string) bool { return pkg == m || strings.HasPrefix(pkg, m+"/") })
	}
	sameGroup := func() bool {
		return slices.ContainsFunc(middle, func(m string) bool {
			return strings.HasPrefix(from+"/", m+"/") && strings.HasPrefix(to+"/", m+"/")
		})
	}
	switch {
	case from == module+"/rooms":
		return "rooms imports no other package of the module"
	case from == module+"/internal/engineio" && (to == module+"/rooms" || inMiddle(to)):
		return "engineio knows no Socket.IO and no presence"
	case isTop(from), sameGroup():
		return ""
	case isTop(to):
		return "only main stands above main"
	case inMiddle(to):
		return "socketio, httpapi and adapter are for main alone"
	}
	return ""
}

func TestImportsRunOneWay(t *testing.T) {
	edges := 0
	for _, line := range goList(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"/...") {
		pkg, imports, _ := strings.Cut(line, " ")
		for to := range strings.FieldsSeq(imports) {
			if to != module && !strings.HasPrefix(to, module+"/") {
				continue
			}
			edges++
			if why := badImport(pkg, to); why != "" {
				t.Errorf("%s imports %s: %s", pkg, to, why)
			}
		}
	}
	if edges < 2 { // adapter → rooms, adaptertest → rooms
		t.Fatalf("found only %d imports within the module: is it still called %s?", edges, module)
	}
}

func TestRoomsImportsTheStandardLibraryOnly(t *testing.T) {
	foreign := goList(t, "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", module+"/rooms")
	if !slices.Equal(foreign, []string{module + "/rooms"}) {
		t.Errorf("rooms depends on %q", foreign)
	}
}

func TestBadImport(t *testing.T) {
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"", "/internal/socketio", true},
		{"", "/rooms", true},
		{"/internal/socketio", "/rooms", true},
		{"/internal/socketio", "/internal/remote", true},
		{"/internal/socketio", "/internal/engineio", true},
		{"/internal/httpapi", "/rooms", true},
		{"/adapter", "/rooms", true},
		{"/adapter/adaptertest", "/rooms", true},
		{"/internal/observe", "/rooms", true},
		{"/e2e/tool", "/adapter", true},
		{"/rooms", "/internal/observe", false},
		{"/rooms", "/adapter", false},
		{"/adapter", "/internal/socketio", false},
		{"/internal/httpapi", "/internal/socketio", false},
		{"/internal/socketio", "/internal/httpapi", false},
		{"/internal/observe", "/internal/socketio", false},
		{"/internal/engineio", "/internal/socketio", false},
		{"/internal/engineio", "/rooms", false},
		{"/internal/socketio", "", false},
	} {
		if why := badImport(module+c.from, module+c.to); (why == "") != c.ok {
			t.Errorf("%s → %s: %q", c.from, c.to, why)
		}
	}
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
}
