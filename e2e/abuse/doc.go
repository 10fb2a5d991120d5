// Package abuse tests what hostile clients can do to a server: flood it, send a
// byte at a time, lie, and never let go, against the real binary with its
// defaults. A test of an attack checks three things: what its client gets, the
// metric that counts it, and what well-behaved clients on the same server notice
// meanwhile (observer_test.go), whose response times are printed with the
// server's memory. With -short attacks are brief: the same has to hold, but the
// printed numbers say little.
//
// The program under test is ROLLCALL_BIN, or it is built from this module,
// never with the race detector: memory and time are measured here. What lives
// here: tests and their tools. What may not: any package of the module; an
// attacker does not know the implementation.
package abuse
