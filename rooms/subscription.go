package rooms

import "fmt"

// A subscription is what a socket chose to hear about presence.
type subscription string

const (
	both        subscription = "both"    // deltas and lists
	listOnly    subscription = "list"    // online_users only
	changesOnly subscription = "changes" // one online_users, then deltas
	countOnly   subscription = "count"   // online_count
	none        subscription = "none"
)

// subscriptionOf reads the handshake: auth.presence, else the query's
// presence, else both.
func subscriptionOf(h Handshake) (subscription, error) {
	wanted := h.text("presence")
	switch s := subscription(wanted); s {
	case "":
		return both, nil
	case both, listOnly, changesOnly, countOnly, none:
		return s, nil
	}
	return "", &Refusal{"bad_presence", fmt.Sprintf(
		"presence is %.64q; it must be both, list, changes, count or none.", wanted)}
}
