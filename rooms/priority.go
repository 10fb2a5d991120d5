package rooms

import "context"

type fromApp struct{}

// FromApp marks what the app beside us asks for: it never waits behind what
// others ask for.
func FromApp(ctx context.Context) context.Context { return context.WithValue(ctx, fromApp{}, true) }

// IsFromApp reports whether FromApp has marked ctx.
func IsFromApp(ctx context.Context) bool { return ctx.Value(fromApp{}) != nil }
