package httpapi

import (
	_ "embed"
	"net/http"
)

// openapi describes the API to its users; the tests hold the server to it.
//
//go:embed openapi.json
var openapi []byte

func (a *api) description(w http.ResponseWriter, r *http.Request) { a.openapi.answer(w, r, openapi) }
