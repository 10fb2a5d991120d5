// Package cluster tests a deployment as it runs in production: several real
// rollcall processes, one real redis-server, real network faults between them
// and raw Socket.IO clients that record everything they are told.
//
// A deployment (deployment_test.go) has instances, members and watchers.
// Members are online or not: they are the truth. Watchers say what they see.
// A test injects one fault and then demands that every watcher of every
// instance sees the truth within the fault's bound, and that nobody was seen
// leaving who did not leave.
//
// The program under test is ROLLCALL_BIN, or it is built from this module,
// with the race detector if the tests have it. What lives here: tests and
// their tools. What may not: any package of the module; whoever looks from
// outside must not know how things are done inside.
package cluster
