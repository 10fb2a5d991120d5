package main

import (
	"syscall"
	"time"
	"unsafe"
)

// leash ends a child with this process, even if that is killed itself.
func leash() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// cpuTime is what all threads of a process have used so far, those that ended
// included: the sum of user and system in /proc/PID/stat, but in nanoseconds.
func cpuTime(pid int) (time.Duration, error) {
	const processClock = 2 // CPUCLOCK_SCHED, of the whole process
	clock := int32(^pid<<3 | processClock)
	var ts syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		return 0, errno
	}
	return time.Duration(ts.Nano()), nil
}

// discard lets the kernel throw n received bytes away.
func discard(fd int, buffer []byte, n int) (int, error) {
	r, _, errno := syscall.Syscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buffer[0])),
		uintptr(n), syscall.MSG_TRUNC, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}
