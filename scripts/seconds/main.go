// Command seconds prints a duration of Go's, such as 1h30m, in whole seconds.
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: seconds DURATION")
		os.Exit(2)
	}
	d, err := time.ParseDuration(os.Args[1])
	if err != nil || d <= 0 {
		fmt.Fprintf(os.Stderr, "%q is no duration such as 30m or 1h\n", os.Args[1])
		os.Exit(2)
	}
	fmt.Println(int64(d.Seconds()))
}
