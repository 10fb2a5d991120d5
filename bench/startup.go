package main

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// startup: from exec to the first answer, and what is there at rest.
func (p programs) startup(ctx context.Context, t *target, _ int) (sample, error) {
	size, err := p.size(t.kind)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, 2*time.Second); err != nil {
		return nil, err
	}
	return sample{
		firstAnswer:  ms(t.instances[0].startup),
		memoryAtRest: t.memory("VmRSS") / 1024,
		programSize:  float64(size) / 1e6,
	}, nil
}

// size is all that has to be there to run: for Node that is node and what npm
// installed.
func (p programs) size(k kind) (int64, error) {
	if k == rollcall {
		return fileSize(p.rollcall)
	}
	path, err := exec.LookPath("node")
	if err != nil {
		return 0, err
	}
	sum, err := fileSize(path)
	if err != nil {
		return 0, err
	}
	err = filepath.WalkDir(p.nodeDir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			info, e := d.Info()
			if e != nil {
				return e
			}
			sum += info.Size()
		}
		return err
	})
	return sum, err
}

func fileSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
