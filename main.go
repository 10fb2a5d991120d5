// Rollcall is a presence server that speaks Socket.IO: a web app's clients tell
// it who they are, and everybody sees who is online.
//
// This file is how the process begins and ends; program.go wires its parts. What
// each of them is, its package says.
package main

import (
	"context"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/httpapi"
	"rollcall/internal/memory"
	"rollcall/internal/observe"
	"rollcall/rooms"
)

// handOver bounds how long the other instances are told of our leaving, should
// Redis not answer. They find out by themselves within 5 s.
const handOver = 2 * time.Second

// finish is how long requests that go on may take to end. Sessions have ended
// then; what is left has had its time.
const finish = 2 * time.Second

// stay is how long the others go on listing the users of an instance that ended,
// who are on their way to them.
const stay = 5 * time.Second

// comeBack is over what time the clients of an instance that ends are spread,
// so that they do not all come to another one at once.
const comeBack = 3 * time.Second

// logTimeout is how long the end waits for somebody to take the last lines of the
// log.
const logTimeout = 500 * time.Millisecond

func main() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		stop()
		second := <-signals // ends the process at once, however soon it comes
		signal.Reset()
		_ = syscall.Kill(os.Getpid(), second.(syscall.Signal))
	}()
	// A log that nobody reads any more is an error of a write, not our end.
	signal.Ignore(syscall.SIGPIPE)
	stderr := observe.NewLogWriter(os.Stderr, func(lines uint64) []byte { return fmt.Appendf(nil, "rollcall: %d lines were dropped\n", lines) })
	stdlog.SetOutput(stderr) // whatever a library says
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout)
	if err != nil {
		fmt.Fprintln(stderr, "rollcall:", err)
	}
	flushLog(stderr)
	if err != nil {
		os.Exit(1)
	}
}

// flushLog ends a log. What nobody takes by then is lost.
func flushLog(log *observe.LogWriter) {
	ctx, cancel := context.WithTimeout(context.Background(), logTimeout)
	defer cancel()
	_ = log.Close(ctx)
}

// run is the program. It returns when ctx has ended and everything is shut
// down, or with the reason why it cannot serve.
func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	cfg, err := config.Load(getenv)
	if err != nil {
		return err
	}
	switch {
	case len(args) == 1 && args[0] == "-health":
		return httpapi.Probe(ctx, cfg.Host, cfg.Port)
	case len(args) > 0:
		return fmt.Errorf("unknown argument %q: there is only -health; everything else is set in the environment", args[0])
	}
	log, logWriter := observe.OpenLog(stdout, cfg.LogFormat, cfg.LogLevel)
	defer flushLog(logWriter)

	memory.Detect().Apply()
	listener, err := net.Listen("tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer listener.Close() // the server does too, if it comes to that
	metrics := observe.NewMetrics(rooms.Events(), rooms.EventKind, rooms.EventsSent())
	metrics.WatchLog(logWriter.Dropped)
	stopDebug, err := serveDebug(cfg.DebugAddress, log)
	if err != nil {
		return err
	}
	defer stopDebug()
	p, err := newProgram(ctx, cfg, log, metrics)
	if err != nil {
		return err
	}
	return p.serve(ctx, listener)
}
