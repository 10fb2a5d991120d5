//go:build unix

package main

import "syscall"

// openFilesLimit is how many files this process may have open, 0 if that is not
// known. Go has raised it to the hard limit at start.
func openFilesLimit() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return uint64(limit.Cur)
}
