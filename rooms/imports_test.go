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
	group := func(pkg string) int { // in middle, else -1
		return slices.IndexFunc(middle, func(m string) bool { return strings.HasPrefix(pkg+"/", m+"/") })
	}
	inMiddle := group(to) >= 0
	switch {
	case from == module+"/rooms":
		return "rooms imports no other package of the module"
	case from == module+"/internal/engineio" && (to == module+"/rooms" || inMiddle):
		return "engineio knows no Socket.IO and no presence"
	case isTop(from), inMiddle && group(from) == group(to):
		return ""
	case isTop(to):
		return "only main stands above main"
	case inMiddle:
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
	for ok, imports := range map[bool][]string{
		true: {
			" /internal/socketio", " /rooms", "/internal/socketio /rooms", "/internal/socketio /internal/remote",
			"/internal/socketio /internal/engineio",
			"/internal/httpapi /rooms", "/adapter /rooms", "/adapter/adaptertest /rooms", "/internal/observe /rooms",
			"/adapter/redis /adapter/memory", "/e2e/tool /adapter",
		},
		false: {
			"/rooms /internal/observe", "/rooms /adapter", "/adapter /internal/socketio",
			"/internal/httpapi /internal/socketio", "/internal/socketio /internal/httpapi",
			"/internal/observe /internal/socketio", "/internal/engineio /internal/socketio",
			"/internal/engineio /rooms", "/internal/socketio ",
		},
	} {
		for _, edge := range imports {
			from, to, _ := strings.Cut(edge, " ")
			if why := badImport(module+from, module+to); (why == "") != ok {
				t.Errorf("%s: %q", edge, why)
			}
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
