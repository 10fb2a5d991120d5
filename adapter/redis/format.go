package redis

import (
	"errors"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// A formatError says that what is in Redis has a later format than this
// instance reads and writes. It touches none of it until that has changed.
type formatError struct{ found, own string }

func (e *formatError) Error() string {
	return fmt.Sprintf("a later release of Rollcall uses this prefix in Redis: its data have format %s, this release knows format %s; update this instance, or give it a prefix of its own", e.found, e.own)
}

// asFormatError is err, or the formatError that a script means by it.
func asFormatError(err error, own int) error {
	var reply goredis.Error
	if errors.As(err, &reply) {
		if found, ok := strings.CutPrefix(reply.Error(), "FORMAT "); ok {
			return &formatError{found, fmt.Sprint(own)}
		}
	}
	return err
}

func isFormatError(err error) bool {
	var e *formatError
	return errors.As(err, &e)
}
