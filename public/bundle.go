package public

import (
	"path"
	"regexp"
	"strings"
)

// importLine is the only form of import that our modules use.
var importLine = regexp.MustCompile(`^import \{[^}]*\} from "(\.{1,2}/[^"]+)";$`)

// bundle makes one classic script of an entry file and the modules that it
// imports: each stands once, before its first user, and all share one function
// scope. So other sites load a single file, while the page uses the modules.
func bundle(entry string) []byte {
	var out strings.Builder
	out.WriteString("(() => {\n\"use strict\";\n")
	seen := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		var body strings.Builder
		for line := range strings.Lines(string(read(name))) {
			if m := importLine.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
				add(path.Join(path.Dir(name), m[1]))
				continue
			}
			body.WriteString(strings.TrimPrefix(line, "export "))
		}
		out.WriteString("\n// " + name + "\n" + strings.TrimLeft(body.String(), "\n"))
	}
	add(entry)
	out.WriteString("})();\n")
	return []byte(out.String())
}
