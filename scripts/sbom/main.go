// Command sbom writes what a Go program was built from as a CycloneDX 1.6
// document. It reads the program itself, not go.mod: only what is linked in is
// in it, at the version that is. What npm brought for browsers, which the program
// embeds, it takes from the lock file.
//
//	go run ./scripts/sbom PROGRAM package-lock.json > PROGRAM.cdx.json
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: sbom PROGRAM package-lock.json")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(program, lockFile string, out io.Writer) error {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return fmt.Errorf("read %s: %w", program, err)
	}
	lock, err := os.ReadFile(lockFile)
	if err != nil {
		return err
	}
	bundled, err := fromNPM(lock)
	if err != nil {
		return fmt.Errorf("read %s: %w", lockFile, err)
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document(info, bundled))
}

type bom struct {
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Version    int         `json:"version"`
	Metadata   metadata    `json:"metadata"`
	Components []component `json:"components"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type    string `json:"type"`
	Ref     string `json:"bom-ref"`
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl"`
}

func one(kind, ecosystem, name, version string) component {
	// A scope's @ would be read as the start of the version.
	url := "pkg:" + ecosystem + "/" + strings.ReplaceAll(name, "@", "%40") + "@" + strings.ReplaceAll(version, "+", "%2B")
	return component{Type: kind, Ref: url, Name: name, Version: version, PURL: url}
}

func document(info *debug.BuildInfo, bundled []component) bom {
	components := []component{one("library", "golang", "stdlib", strings.TrimPrefix(info.GoVersion, "go"))}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		if strings.HasPrefix(m.Path, "./") { // a stub of ours: part of the program itself
			continue
		}
		components = append(components, one("library", "golang", m.Path, m.Version))
	}
	components = append(components, bundled...)
	return bom{"CycloneDX", "1.6", 1, metadata{one("application", "golang", info.Main.Path, info.Main.Version)}, components}
}

// fromNPM is what the lock file has, without the tools: all of it ends up in the
// official browser client.
func fromNPM(lock []byte) ([]component, error) {
	var file struct {
		Packages map[string]struct {
			Version string
			Dev     bool
		}
	}
	if err := json.Unmarshal(lock, &file); err != nil {
		return nil, err
	}
	var out []component
	for path, p := range file.Packages {
		if i := strings.LastIndex(path, "node_modules/"); i >= 0 && !p.Dev {
			out = append(out, one("library", "npm", path[i+len("node_modules/"):], p.Version))
		}
	}
	slices.SortFunc(out, func(a, b component) int { return strings.Compare(a.PURL, b.PURL) })
	return out, nil
}
