package config

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the table of settings in the documents")

const (
	reference  = "../../docs/reference/configuration.md"
	tableBegin = "<!-- configuration: made by `go generate ./internal/config`, checked by its tests -->\n"
	tableEnd   = "<!-- /configuration -->"
)

func TestConfigurationTable(t *testing.T) {
	want := table(t)
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	got, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("configuration.md has no table between %q and %q", tableBegin, tableEnd)
	}
	if got == want {
		return
	}
	if *update {
		if err := os.WriteFile(reference, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("configuration.md differs from Config (go generate ./internal/config rewrites it)\n got:\n%s\nwant:\n%s", got, want)
}

// commented matches a field of Config with a variable: its comment, name and type.
var commented = regexp.MustCompile("\\n\t// (.+)\n\t(\\w+) \\w+(?:\\.\\w+)? `env:")

// table is Config as Markdown: name, default and meaning of each variable.
func table(t *testing.T) string {
	source, err := os.ReadFile("config.go")
	if err != nil {
		t.Fatal(err)
	}
	rows := "\n| variable | default | meaning |\n|---|---|---|\n"
	found, config := commented.FindAllStringSubmatch(string(source), -1), reflect.TypeFor[Config]()
	if len(found) != config.NumField() {
		t.Fatalf("%d of the %d fields of Config have a variable and a comment of one line", len(found), config.NumField())
	}
	for _, one := range found {
		field, _ := config.FieldByName(one[2])
		value := field.Tag.Get("envDefault")
		if value != "" {
			value = "`" + value + "`"
		}
		rows += fmt.Sprintf("| `%s` | %s | %s |\n", field.Tag.Get("env"), value, strings.ReplaceAll(one[1], "|", `\|`))
	}
	return rows + "\n"
}
