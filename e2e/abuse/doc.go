// Package abuse tests what the open internet does to a server: clients that
// flood, dribble, lie and never let go, against the real binary with its
// defaults. Each abuse has three answers: what its client gets, the metric that
// counts it, and what a well-behaved client on the same server feels meanwhile
// (witness_test.go), whose round trips and the server's memory are printed.
//
// The program under test is ROLLCALL_BIN, or it is built from this module,
// never with the race detector: memory and time are measured here. What lives
// here: tests and their tools. What may not: any package of the module; whoever
// attacks from outside does not know how things are done inside.
package abuse
