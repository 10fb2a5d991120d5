//go:build !unix

package engineio

import "net"

// writeNow writes nothing: there is no write here that does not wait.
func writeNow(net.Conn, []byte) int { return 0 }
