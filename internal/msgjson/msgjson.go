// Package msgjson translates between JSON and MessagePack, as JavaScript's
// JSON.stringify and msgpack libraries do. Both directions keep the order of
// keys, which is why neither goes through Go's maps, and integers exactly: 64
// bits signed or unsigned. Every other number is a 64-bit float.
package msgjson

import "errors"

var (
	// ErrMalformed is for what is not MessagePack.
	ErrMalformed = errors.New("it is malformed MessagePack")
	// ErrBinary is for binary data and extensions that JSON has no form for.
	ErrBinary = errors.New("it has binary data, which clients get as JSON only")
	// ErrDepth is for arrays and objects that are nested too deep.
	ErrDepth = errors.New("it is nested too deep")
)
