// Package webtransport is a stub: see package quic in quic-go beside it.
package webtransport

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// Server serves nothing.
type Server struct {
	H3          http3.Server
	CheckOrigin func(*http.Request) bool
}

// Upgrade fails, so that there is never a Session.
func (*Server) Upgrade(http.ResponseWriter, *http.Request) (*Session, error) {
	return nil, quic.ErrNotBuiltIn
}

// ListenAndServeTLS fails.
func (*Server) ListenAndServeTLS(certFile, keyFile string) error { return quic.ErrNotBuiltIn }

// Close has nothing to close.
func (*Server) Close() error { return nil }

// SessionErrorCode is why a session is closed.
type SessionErrorCode uint32

// Session is never made.
type Session struct{ _ byte }

func (*Session) AcceptStream(context.Context) (*Stream, error) { return nil, quic.ErrNotBuiltIn }
func (*Session) CloseWithError(SessionErrorCode, string) error { return nil }
func (*Session) LocalAddr() net.Addr                           { return nil }
func (*Session) RemoteAddr() net.Addr                          { return nil }

// Stream is never made.
type Stream struct{ _ byte }

func (*Stream) Read([]byte) (int, error)         { return 0, quic.ErrNotBuiltIn }
func (*Stream) Write([]byte) (int, error)        { return 0, quic.ErrNotBuiltIn }
func (*Stream) Close() error                     { return nil }
func (*Stream) SetReadDeadline(time.Time) error  { return quic.ErrNotBuiltIn }
func (*Stream) SetWriteDeadline(time.Time) error { return quic.ErrNotBuiltIn }
