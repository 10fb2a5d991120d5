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
	"rollcall/internal/remote"
	"rollcall/rooms"
)

// This file checks tokens, for Socket.IO and HTTP, and makes the handlers of the
// HTTP API.

// newVerifier returns nil without a secret.
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

// authenticator returns a function that checks tokens, nil without a verifier:
// clients are trusted then.
func authenticator(verifier *auth.Verifier, revoked revoker, log *slog.Logger) func(token string) (rooms.Identity, error) {
	if verifier == nil {
		return nil
	}
	return func(token string) (rooms.Identity, error) {
		identity, err := verifier.Verify(token, time.Now())
		if err == nil && identity.JWT && isRevoked(identity, revoked) {
			err = errRevoked
		}
		if err != nil {
			log.Info("a token was refused", "error", err)
			return rooms.Identity{}, err
		}
		return rooms.Identity{User: identity.User, Status: rooms.Status(identity.Status), Expires: identity.Expires}, nil
	}
}

// isRevoked reports whether a token was issued before its user's tokens were
// revoked. A token without a time of issue counts as issued before.
func isRevoked(identity auth.Identity, revoked revoker) bool {
	at := revoked.RevokedAt(rooms.UserID(identity.User))
	return !at.IsZero() && !identity.IssuedAt.After(at)
}

// A revoker keeps, for each user, the time until which issued tokens are refused.
type revoker interface {
	Revoke(user string, at time.Time)
	RevokedAt(user string) time.Time
}

// handlers are those of the HTTP API and of health checks.
func (s *server) handlers(ready func() error, signOuts *httpapi.Scheduler) (api, health http.Handler) {
	address := remote.Address(s.cfg.TrustedProxies)
	attempts := httpapi.NewAttempts(address, s.log, s.metrics.Refusal)
	options := httpapi.Options{
		Rooms:     s.service,
		Key:       s.cfg.APIKey.Reveal(),
		Guests:    s.cfg.AllowGuests,
		Public:    s.cfg.PublicAPI,
		Revoke:    func(id string) { s.store.Revoke(id, time.Now()) },
		Scheduler: signOuts,
		Attempts:  attempts,
		Address:   address,
		Log:       s.log,
		MaxBody:   int64(s.cfg.MaxMessage),
		// A budget of its own, so that the app does not wait for clients' bodies.
		Inbound:       memory.NewBudget(max(memory.Detect().Bytes/32, 4*int64(s.cfg.MaxMessage))),
		OriginAllowed: originAllowed(s.cfg),
		Refused:       s.metrics.Refusal,
	}
	if s.authenticate != nil {
		options.Authenticate = func(token string) error { _, err := s.authenticate(token); return err }
	}
	return httpapi.API(options), httpapi.Health(httpapi.HealthOptions{
		Ready: ready, Metrics: s.metrics.Handler(), Attempts: attempts,
		MetricsKey: s.cfg.MetricsKey.Reveal(), APIKey: s.cfg.APIKey.Reveal(),
	})
}
