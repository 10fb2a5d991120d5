// Publish puts messages on the bus as an instance of Rollcall does, for tests.
// Each line of its input is one: {"event":"…","args":[…],"rooms":[…],"except":[…]}.
//
//	REDIS_URL=redis://… publish <messages
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/adapter/pubsub"
	store "rollcall/adapter/redis"
	"rollcall/rooms"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "publish:", err)
		os.Exit(1)
	}
}

func run() error {
	options, err := store.ParseURL(os.Getenv("REDIS_URL"), false)
	if err != nil {
		return err
	}
	client := redis.NewUniversalClient(options)
	defer client.Close()
	bus := pubsub.New(client, pubsub.Options{})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var line struct {
			Event         string
			Args          []json.RawMessage
			Rooms, Except []string
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("read %q: %w", lines.Text(), err)
		}
		bus.Publish(rooms.Broadcast{
			Event:  rooms.Event{Name: line.Event, Args: line.Args},
			Rooms:  line.Rooms,
			Except: line.Except,
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := bus.Close(ctx); err != nil {
		return err
	}
	if s := bus.Stats(); s.Dropped+s.Refused > 0 {
		return fmt.Errorf("not everything was published: %+v", s)
	}
	return lines.Err()
}
