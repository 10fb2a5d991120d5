package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stuck stands for every part of the program, none of which ends.
type stuck struct {
	gate    chan struct{}
	stopped bool
}

func (s *stuck) Flush() { <-s.gate }

func (s *stuck) HandOver() {}

func (s *stuck) Stop(ctx context.Context, _ time.Duration) {
	<-ctx.Done() // as promised
	s.stopped = true
}

func (s *stuck) Close(context.Context) error {
	<-s.gate
	return nil
}

// A shutdown ends within its timeout, whatever is stuck.
func TestShutdownIsBounded(t *testing.T) {
	for _, timeout := range []time.Duration{100 * time.Millisecond, 10 * time.Second, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			parts := &stuck{gate: make(chan struct{})}
			var background sync.WaitGroup
			background.Go(func() { <-parts.gate })
			server := stuckServer(t, parts.gate)
			began := time.Now()
			shutdown{
				timeout: timeout, log: slog.New(slog.DiscardHandler),
				signOuts: parts, service: parts, sockets: parts, server: server, stopBackground: func() {},
				background: &background, store: parts,
			}.run()
			if took := time.Since(began); took > timeout || !parts.stopped {
				t.Errorf("it takes %v of %v", took, timeout)
			}
			close(parts.gate)
		})
	}
}

// stuckServer has a request whose handler does not end.
func stuckServer(t *testing.T, gate chan struct{}) *http.Server {
	client, conn := net.Pipe()
	listener := &onePipe{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	listener.conn <- conn
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-gate })}
	go server.Serve(listener)
	if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return server
}

// onePipe is a listener with one connection.
type onePipe struct {
	conn   chan net.Conn
	closed chan struct{}
}

func (l *onePipe) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conn:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *onePipe) Close() error {
	close(l.closed)
	return nil
}

func (l *onePipe) Addr() net.Addr { return &net.TCPAddr{} }
