// Package http3 is a stub: see package quic above it.
package http3

import (
	"crypto/tls"
	"net"
	"net/http"

	"github.com/quic-go/quic-go"
)

// Server serves nothing.
type Server struct {
	Addr       string
	Handler    http.Handler
	TLSConfig  *tls.Config
	QUICConfig *quic.Config
}

// Serve fails.
func (*Server) Serve(net.PacketConn) error { return quic.ErrNotBuiltIn }

// SetQUICHeaders fails: there is no HTTP/3 to tell of.
func (*Server) SetQUICHeaders(http.Header) error { return quic.ErrNotBuiltIn }

// Close has nothing to close.
func (*Server) Close() error { return nil }
