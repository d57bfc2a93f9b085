package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// manyRooms: initial syncs, members lazy, of one user in many rooms: the first, then those that find the server's caches warm.
func manyRooms(r *Run) {
	defer r.guard("rooms-many")
	us := r.users(3)
	ids := make([]string, r.manyRooms)
	r.each(len(ids), 4, func(i int) (err error) { ids[i], err = r.createRoom(us[i%3]); return })
	r.each(2*len(ids), 8, func(i int) error { return r.join(us[(i/2+1+i%2)%3], ids[i/2]) })
	r.each(2*len(ids), 8, func(i int) error { _, err := r.send(us[i%3], ids[i/2], "hello"); return err })
	once := func(int) (int, error) {
		_, err := r.sync(us[0], "", `{"room":{"timeline":{"limit":20},"state":{"lazy_load_members":true}}}`, 0)
		return 1, err
	}
	r.measure(fmt.Sprintf("sync-%d-first", len(ids)), "syncs", 1, 1, once)
	r.measure(fmt.Sprintf("sync-%d-lazy", len(ids)), "syncs", 5, 1, once)
}

// polls: many long polls that nothing happens to; what counts is the memory when all of them wait. Bare connections, so that
// the generator has memory for them.
func polls(r *Run) {
	name := fmt.Sprintf("polls-%d", r.idlePolls)
	defer r.guard(name)
	us := r.crowdOf(min(100, r.idlePolls))
	r.room(append(r.users(1), us...))
	r.each(len(us), 8, func(i int) error { _, err := r.sync(us[i], "", fanFilter, 0); return err })
	_, before, _ := r.usage()
	base, err := url.Parse(r.Base)
	check(err)
	conns := make([]net.Conn, r.idlePolls)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}()
	s := r.begin(name, "polls")
	r.each(len(conns), 16, func(i int) (err error) {
		u := us[i%len(us)]
		q := url.Values{"timeout": {"300000"}, "filter": {fanFilter}, "since": {u.next}, "set_presence": {"offline"}}
		t0 := time.Now()
		if conns[i], err = net.Dial("tcp", base.Host); err == nil {
			_, err = fmt.Fprintf(conns[i], "GET /_matrix/client/v3/sync?%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n",
				q.Encode(), base.Host, u.Token)
		}
		s.add(1, time.Since(t0), err)
		return nil
	})
	time.Sleep(5 * time.Second) // the server may still be reading the last of them
	var once sync.Once
	r.each(len(conns), 16, func(i int) error { // a poll that was answered or closed does not wait
		if conns[i] == nil {
			return nil
		}
		conns[i].SetReadDeadline(time.Now().Add(time.Millisecond))
		if n, err := conns[i].Read(make([]byte, 512)); n > 0 || !os.IsTimeout(err) {
			s.add(-1, 0, nil)
			once.Do(func() { s.res.Note = "some did not wait" })
			s.res.Errors++
		}
		return nil
	})
	_, after, _ := r.usage()
	if s.res.Note == "" {
		s.res.Note = fmt.Sprintf("%.1f MB before, %.1f KB a poll", before, (after-before)*1024/float64(len(conns)))
	}
	s.end()
}

// presence: many users who are online, each of whom looks for news twice a minute, as clients do that wait for it; first
// without presence, then with it. Rooms of 20, so that each has others who are told. What counts is the share of a core.
func presence(r *Run) {
	defer r.guard("presence")
	const roomOf, cycle = 20, 25 * time.Second
	const filter = `{"room":{"timeline":{"limit":50},"state":{"lazy_load_members":true}}}`
	var us []*User
	// A server that is slow to register gets fewer.
	for end := r.halfTime(); len(us) < r.presence && time.Now().Before(end); {
		some := r.users(min(5, (r.presence-len(us)+roomOf-1)/roomOf) * roomOf)
		for i := 0; i < len(some); i += roomOf {
			r.room(some[i : i+roomOf])
		}
		us = append(us, some...)
	}
	r.each(len(us), 8, func(i int) error { _, err := r.sync(us[i], "", filter, 0); return err })
	for _, state := range []string{"offline", "online"} {
		look := func(i int) (int, error) {
			u := us[i%len(us)]
			q := url.Values{"timeout": {"0"}, "filter": {filter}, "since": {u.next}, "set_presence": {state}}
			var got struct {
				Next string `json:"next_batch"`
			}
			err := r.do(u, "GET", "/_matrix/client/v3/sync?"+q.Encode(), nil, &got)
			u.next = got.Next
			return 1, err
		}
		r.paced(len(us), cycle, func(i int) { look(i) }) // until all are what they are to be
		s := r.begin(fmt.Sprintf("presence-%d-%s", r.presence, state), "syncs")
		r.paced(len(us), cycle, func(i int) {
			t0 := time.Now()
			n, err := look(i)
			s.add(n, time.Since(t0), err)
		})
		cpu, _, _ := r.usage()
		s.res.Note = fmt.Sprintf("%d users: %.2f %% of a core", len(us), 100*(cpu-s.cpu)/time.Since(s.began).Seconds())
		s.end()
	}
}

// halfTime is when half of a scenario's time is over.
func (r *Run) halfTime() time.Time {
	end, ok := r.ctx.Deadline()
	if !ok {
		return time.Now().Add(time.Hour)
	}
	return time.Now().Add(time.Until(end) / 2)
}

// paced does fn(0..n-1) evenly over a time, each when its turn comes, whether those before have ended or not.
func (r *Run) paced(n int, over time.Duration, fn func(i int)) {
	var wg sync.WaitGroup
	began := time.Now()
	for i := 0; i < n && r.ctx.Err() == nil; i++ {
		i := i
		time.Sleep(time.Until(began.Add(over * time.Duration(i) / time.Duration(n))))
		together(&wg, func() { fn(i) })
	}
	wg.Wait()
}

// dataBytes is the size of the files that the target's `data` names (patterns; folders with all that is in them).
func (t *Target) dataBytes() (all int64) {
	for _, pattern := range t.Data {
		found, _ := filepath.Glob(pattern)
		for _, top := range found {
			filepath.Walk(top, func(_ string, info os.FileInfo, err error) error {
				if err == nil && info.Mode().IsRegular() {
					all += info.Size()
				}
				return nil
			})
		}
	}
	return
}

// restart lets the server write its journals into its database, so that its files have their real size.
func (r *Run) restart() {
	r.stop()
	if _, err := r.Target.start(r.ctx); err != nil {
		panic(setupFailed{err})
	}
}

// eventBytes is the mean size of the newest events of a room as servers exchange them: what a homeserver has to keep.
func (r *Run) eventBytes(u *User, room string) float64 {
	var got struct {
		Rooms struct {
			Join map[string]struct {
				Timeline struct{ Events []obj }
			}
		}
	}
	raw, err := r.sync(u, "", `{"event_format":"federation","room":{"timeline":{"limit":50}}}`, 0)
	if err == nil {
		err = json.Unmarshal(raw, &got)
	}
	events := got.Rooms.Join[room].Timeline.Events
	if err != nil || len(events) == 0 {
		panic(setupFailed{fmt.Errorf("no events to weigh: %v", err)})
	}
	all := 0
	for _, ev := range events {
		all += len(canonical(without(ev, "unsigned", "event_id")))
	}
	return float64(all) / float64(len(events))
}

// storage: bytes on disk for each message and each state event with a key of its own, against the events' own size.
func storage(r *Run) {
	defer r.guard("stored")
	if len(r.Start) == 0 || len(r.Data) == 0 {
		return
	}
	u := r.users(1)[0]
	id, err := r.createRoom(u)
	if err != nil {
		panic(setupFailed{err})
	}
	fill := func(name string, n int, one func(i int) error) {
		r.restart()
		before := r.dataBytes()
		s := r.begin(name, "events")
		r.each(n, 8, one)
		s.res.Ops = n
		cpu, _, _ := r.usage()
		event := r.eventBytes(u, id)
		r.restart()
		stored := float64(r.dataBytes()-before) / float64(n)
		fresh, _, _ := r.usage()
		s.cpu += fresh - cpu // what the two processes used apart from filling does not count
		s.res.Stored, s.res.JSON = stored, event
		s.res.Note = fmt.Sprintf("%.0f bytes each, %.2f times the %.0f of the event", stored, stored/event, event)
		s.end()
	}
	fill("stored-messages", r.storeMessages, func(i int) error {
		_, err := r.send(u, id, fmt.Sprintf("%d %s", i, strings.Repeat("words ", i%20)))
		return err
	})
	fill("stored-state", r.storeState, func(i int) error {
		return r.do(u, "PUT", fmt.Sprintf("/_matrix/client/v3/rooms/%s/state/org.bench.item/k%d", url.PathEscape(id), i), obj{"n": i}, nil)
	})
}
