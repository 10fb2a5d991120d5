// Package adapter has what the stores in its folders have in common. They keep
// the state that the instances of one deployment share, and carry changes and
// messages between them: memory for an instance that runs alone, redis and pubsub
// for several.
//
// What lives here and there: storage and transport. What may not: any rule about
// who is shown to whom (rooms). Every store and bus passes the contract suites of
// adaptertest.
package adapter
