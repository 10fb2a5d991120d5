// Rollcall is a presence server that speaks Socket.IO: a web app's clients register
// their users, and every client sees who is online.
//
// This file starts and ends the process; server.go connects its parts.
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

// The times of a shutdown.
const (
	handOverTimeout = 2 * time.Second        // to announce the end to other instances, which notice within 5 s
	drainTimeout    = 2 * time.Second        // for HTTP requests to end after the sessions have
	handOverGrace   = 5 * time.Second        // in which others list this one's users, who may reconnect unnoticed
	closeSpread     = 3 * time.Second        // over which sessions are closed, so that not all reconnect at once
	logTimeout      = 500 * time.Millisecond // for the last lines of the log to be written
)

func main() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		stop()
		second := <-signals // ends the process at once
		signal.Reset()
		_ = syscall.Kill(os.Getpid(), second.(syscall.Signal))
	}()
	// A write to a closed pipe returns an error; it must not end the process.
	signal.Ignore(syscall.SIGPIPE)
	stderr := observe.NewLogWriter(os.Stderr, func(lines uint64) []byte { return fmt.Appendf(nil, "rollcall: %d lines were dropped\n", lines) })
	stdlog.SetOutput(stderr) // what libraries log
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout)
	if err != nil {
		fmt.Fprintln(stderr, "rollcall:", err)
	}
	flushLog(stderr)
	if err != nil {
		os.Exit(1)
	}
}

// flushLog closes a log. Lines that are not written within logTimeout are lost.
func flushLog(log *observe.LogWriter) {
	ctx, cancel := context.WithTimeout(context.Background(), logTimeout)
	defer cancel()
	_ = log.Close(ctx)
}

// run is the whole program. It returns nil when ctx has ended and everything is
// shut down, or the reason why it cannot serve.
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
	defer listener.Close() // for errors before the server has it
	metrics := observe.NewMetrics(rooms.Events(), rooms.EventKind, rooms.EventsSent())
	metrics.WatchLog(logWriter.Dropped)
	stopDebug, err := serveDebug(cfg.DebugAddress, log)
	if err != nil {
		return err
	}
	defer stopDebug()
	server, err := newServer(ctx, cfg, log, metrics)
	if err != nil {
		return err
	}
	return server.serve(ctx, listener)
}
