package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strconv"
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

// table is Config as Markdown: name, default and meaning of each variable.
func table(t *testing.T) string {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("\n| variable | default | meaning |\n|---|---|---|\n")
	rows := 0
	for _, field := range configFields(file) {
		quoted, err := strconv.Unquote(field.Tag.Value)
		if err != nil {
			t.Fatal(err)
		}
		tag := reflect.StructTag(quoted)
		name, meaning := tag.Get("env"), strings.Join(strings.Fields(field.Doc.Text()), " ")
		if name == "" || meaning == "" {
			t.Errorf("%s has no variable or no comment", field.Names[0])
		}
		value := tag.Get("envDefault")
		if value != "" {
			value = "`" + value + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, value, strings.ReplaceAll(meaning, "|", `\|`))
		rows++
	}
	if n := reflect.TypeFor[Config]().NumField(); rows != n {
		t.Fatalf("%d of the %d fields of Config were found in the source", rows, n)
	}
	b.WriteString("\n")
	return b.String()
}

func configFields(file *ast.File) []*ast.Field {
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		for _, spec := range gen.Specs {
			if s := spec.(*ast.TypeSpec); s.Name.Name == "Config" {
				return s.Type.(*ast.StructType).Fields.List
			}
		}
	}
	return nil
}
