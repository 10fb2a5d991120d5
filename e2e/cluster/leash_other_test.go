//go:build !linux

package cluster

import "syscall"

func leash() *syscall.SysProcAttr { return nil }
