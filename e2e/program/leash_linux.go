package program

import "syscall"

// leash ends a child with this process, even if that is killed itself.
func leash() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
