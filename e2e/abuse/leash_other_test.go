//go:build !linux

package abuse

import "syscall"

func leash() *syscall.SysProcAttr { return nil }
