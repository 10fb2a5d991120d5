//go:build unix

package engineio

import (
	"net"
	"syscall"
)

// writeNow writes as much as a connection takes without waiting, and returns how
// much that was: an error shows at the next write.
func writeNow(conn net.Conn, b []byte) (n int) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0
	}
	raw.Write(func(fd uintptr) bool {
		for n < len(b) {
			written, err := syscall.Write(int(fd), b[n:])
			if err == syscall.EINTR {
				continue
			}
			if err != nil || written <= 0 {
				break
			}
			n += written
		}
		return true // do not wait
	})
	return n
}
