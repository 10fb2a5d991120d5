// Package quic stands where github.com/quic-go/quic-go would be, by a replace
// in Rollcall's go.mod, and can do nothing. The Socket.IO library imports quic-go
// for WebTransport and HTTP/3, which Rollcall does not serve. The real one is
// 2 MB of the program with what it brings, and has a known hole: the library's
// webtransport-go does not build with the version that mends it.
//
// Here, in http3 and in webtransport-go beside it is what the library's code
// names, no more: should a later version of it name more, the build says so.
//
// To leave this: remove the replaces in go.mod, this folder, its COPY in the
// Dockerfile and built_test.go; then go mod tidy.
package quic

import "errors"

// Config is named by the library and never made.
type Config struct{}

// ErrNotBuiltIn is what everything here fails with.
var ErrNotBuiltIn = errors.New("QUIC is not built into Rollcall")
