package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"rollcall/internal/auth"
	"rollcall/internal/config"
	"rollcall/internal/httpapi"
	"rollcall/internal/memory"
	"rollcall/internal/observe"
	"rollcall/internal/remote"
	"rollcall/rooms"
)

// This file makes what checks tokens, for Socket.IO and HTTP, and the handlers of
// the HTTP API.

// newVerifier is nil without a secret.
func newVerifier(cfg config.Config) (*auth.Verifier, error) {
	if len(cfg.AuthSecrets()) == 0 {
		return nil, nil
	}
	verifier, err := auth.New(cfg.AuthSecrets())
	if err != nil {
		return nil, fmt.Errorf("AUTH_SECRET: %w", err)
	}
	return verifier, nil
}

var errRevoked = errors.New("the user's tokens issued until then are revoked")

// authenticator checks tokens; nil without a verifier: clients are trusted.
func authenticator(verifier *auth.Verifier, revoked revoker, log *slog.Logger) func(token string) (rooms.Identity, error) {
	if verifier == nil {
		return nil
	}
	return func(token string) (rooms.Identity, error) {
		who, err := verifier.Verify(token, time.Now())
		if err == nil && who.JWT && isRevoked(who, revoked) {
			err = errRevoked
		}
		if err != nil {
			log.Info("a token was refused", "error", err)
			return rooms.Identity{}, err
		}
		return rooms.Identity{User: who.User, Status: rooms.Status(who.Status), Expires: who.Expires}, nil
	}
}

// isRevoked tells whether a token was issued before its user's tokens were
// revoked. One that does not say when it was issued may have been.
func isRevoked(who auth.Identity, revoked revoker) bool {
	at := revoked.RevokedAt(rooms.UserID(who.User))
	return !at.IsZero() && !who.IssuedAt.After(at)
}

// A revoker knows the users whose earlier tokens are refused.
type revoker interface {
	Revoke(user string, at time.Time)
	RevokedAt(user string) time.Time
}

// httpOptions are the options of what is no Socket.IO.
type httpOptions struct {
	cfg      config.Config
	rooms    *rooms.Rooms
	revoker  revoker
	metrics  *observe.Metrics
	log      *slog.Logger
	ready    func() error
	later    *httpapi.Later
	identify func(token string) (rooms.Identity, error) // nil: clients are trusted
}

// handlers are those of the API and of health checks.
func (o httpOptions) handlers() (api, health http.Handler) {
	address := remote.Address(o.cfg.TrustedProxies)
	attempts := httpapi.NewAttempts(address, o.log, o.metrics.Refusal)
	options := httpapi.Options{
		Rooms:    o.rooms,
		Key:      o.cfg.APIKey.Reveal(),
		Guests:   o.cfg.AllowGuests,
		Public:   o.cfg.PublicAPI,
		Revoke:   func(id string) { o.revoker.Revoke(id, time.Now()) },
		Later:    o.later,
		Attempts: attempts,
		Address:  address,
		Log:      o.log,
		MaxBody:  int64(o.cfg.MaxMessage),
		// The app's bodies do not wait behind those of all clients.
		Inbound:       memory.NewBudget(max(memory.Detect().Bytes/32, 4*int64(o.cfg.MaxMessage))),
		OriginAllowed: originAllowed(o.cfg),
		Refused:       o.metrics.Refusal,
	}
	if o.identify != nil {
		options.Authenticate = func(token string) error { _, err := o.identify(token); return err }
	}
	return httpapi.API(options), httpapi.Health(httpapi.HealthOptions{
		Ready: o.ready, Metrics: o.metrics.Handler(), Attempts: attempts,
		MetricsKey: o.cfg.MetricsKey.Reveal(), APIKey: o.cfg.APIKey.Reveal(),
	})
}
