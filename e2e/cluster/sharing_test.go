package cluster

import (
	"fmt"
	"testing"
)

func TestInstancesShareOneView(t *testing.T) {
	t.Parallel()
	const n = 3
	d := deploy(t, plan{instances: n})
	rec := d.record()
	var members []*member
	var ids []string
	for i := range 4 * n {
		m := d.join(d.instances[i%n], fmt.Sprintf("u%d", i))
		members, ids = append(members, m), append(ids, m.id)
	}
	d.converge("all see all", soon, d.truth(), d.watching())
	rec.expectOnce("joining", "add_user", ids, d.watching())
	rec.expectOnce("joining", "remove_user", nil, d.watching())

	rec = d.record()
	for i, m := range members {
		if err := m.rename(i + 1); err != nil {
			t.Fatal(err)
		}
	}
	d.converge("all see the new names", soon, d.truth(), d.watching())
	rec.expectNoChanges("renaming", d.watching())

	rec = d.record()
	for i, m := range members[:2*n] {
		if i%2 == 0 {
			m.leave()
		} else if err := m.signOut(); err != nil {
			t.Fatal(err)
		}
	}
	d.converge("all see the departures", soon, d.truth(), d.watching())
	rec.expectOnce("leaving", "remove_user", ids[:2*n], d.watching())

	late := d.watch(d.instances[n-1], "both", false)
	d.converge("a watcher that connects late sees the same", soon, d.truth(), []*watcher{late})
}

func TestTabsOnTwoInstancesAreOneUser(t *testing.T) {
	t.Parallel()
	d := deploy(t, plan{instances: 3})
	first, second := d.instances[0], d.instances[1]
	// When a sentinel has arrived, so has what the same instance did before.
	sentinel := func(in *instance, id string) {
		t.Helper()
		d.join(in, id)
		d.converge("sentinel "+id, soon, d.truth(), d.watching())
	}

	rec := d.record()
	one := d.join(first, "ann")
	d.converge("the first tab", soon, d.truth(), d.watching())
	two := d.join(second, "ann")
	sentinel(second, "s1")
	rec.expectOnce("two tabs", "add_user", []string{"ann", "s1"}, d.watching())

	rec = d.record()
	one.leave()
	sentinel(first, "s2")
	rec.expectOnce("one tab closed", "remove_user", nil, d.watching())

	rec = d.record()
	if err := two.rename(7); err != nil {
		t.Fatal(err)
	}
	d.converge("the other tab's data", soon, d.truth(), d.watching())
	back := d.join(first, "ann")
	if err := back.rename(8); err != nil {
		t.Fatal(err)
	}
	sentinel(first, "s3") // now the second instance knows of that tab
	two.leave()
	sentinel(second, "s4")
	truth := d.truth()
	if truth["ann"] != userJSON("ann", 8) {
		t.Fatalf("the test itself is wrong about ann: %s", truth["ann"])
	}
	rec.expectOnce("to and fro", "remove_user", nil, d.watching())

	rec = d.record()
	back.leave()
	d.converge("the last tab closed", soon, d.truth(), d.watching())
	rec.expectOnce("the last tab closed", "remove_user", []string{"ann"}, d.watching())
}
