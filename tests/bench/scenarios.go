package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// startup restarts the server that hsbench itself started, until it answers; RSS is read when it has been idle for 3 s.
func startup(r *Run) {
	if len(r.Start) == 0 {
		return
	}
	s := r.begin("startup", "starts")
	for left := r.starts; left > 0; left-- {
		r.stop()
		took, err := r.Target.start(r.ctx)
		s.add(1, took, err)
	}
	time.Sleep(3 * time.Second)
	s.cpu = 0
	s.end()
}

func register(r *Run) {
	defer r.guard("register")
	list := make([]*User, r.Scale.users)
	res := r.measure("register", "users", len(list), 4, func(i int) (n int, err error) { list[i], err = r.newUser(true); return 1, err })
	if res.Errors == 0 && res.Ops == len(list) {
		r.measure("login", "logins", r.logins, 4, func(i int) (int, error) { _, err := r.login(list[i%len(list)]); return 1, err })
	}
}

func rooms(r *Run) {
	defer r.guard("rooms")
	us := r.users(r.joins + 1)
	ids := make([]string, r.Scale.rooms)
	r.measure("room-create", "rooms", len(ids), 4, func(i int) (n int, err error) { ids[i], err = r.createRoom(us[0]); return 1, err })
	ids = drop(ids, "")
	r.measure("room-join", "joins", len(ids)*r.joins, 8, func(i int) (int, error) { return 1, r.join(us[1+i/len(ids)], ids[i%len(ids)]) })
}

// room makes a room of the given users, the first of whom creates it.
func (r *Run) room(us []*User) string {
	id, err := r.createRoom(us[0])
	if err != nil {
		panic(setupFailed{err})
	}
	r.each(len(us)-1, 4, func(i int) error { return r.join(us[i+1], id) })
	return id
}

func send(r *Run) {
	defer r.guard("send")
	us := r.users(max(r.sendMembers, (r.senders+r.sendRooms-1)/r.sendRooms))
	ids := make([]string, r.sendRooms)
	r.each(len(ids), 4, func(i int) (err error) { ids[i], err = r.createRoom(us[0]); return })
	r.each(len(ids)*(len(us)-1), 8, func(i int) error { return r.join(us[1+i/len(ids)], ids[i%len(ids)]) })
	one := func(i int) (int, error) {
		_, err := r.send(us[i/len(ids)%len(us)], ids[i%len(ids)], fmt.Sprintf("message %d %x", i, i*7919))
		return 1, err
	}
	r.measure("send-1", "events", r.sendEvents/10, 1, one)
	r.measure("send", "events", r.sendEvents, r.senders, one)
}

const fanFilter = `{"presence":{"types":[]},"room":{"timeline":{"limit":50},"state":{"lazy_load_members":true}}}`

// sync makes one sync request, keeps next_batch and returns the raw answer.
func (r *Run) sync(u *User, since, filter string, timeout int) ([]byte, error) {
	q := url.Values{"timeout": {strconv.Itoa(timeout)}, "filter": {filter}, "set_presence": {"offline"}}
	if since != "" {
		q.Set("since", since)
	}
	var raw []byte
	if err := r.do(u, "GET", "/_matrix/client/v3/sync?"+q.Encode(), nil, &raw); err != nil {
		return nil, err
	}
	_, after, ok := bytes.Cut(raw, []byte(`"next_batch":`))
	part := bytes.SplitN(after, []byte(`"`), 3)
	if !ok || len(part) < 3 {
		return nil, errors.New("no next_batch in a sync response")
	}
	u.next = string(part[1])
	return raw, nil
}

// fanout: one user sends at a fixed rate, many sync; a latency runs from the send request's start to the end of a sync response.
func fanout(r *Run) {
	for _, f := range r.fan {
		r.fanoutOne(f[0], f[1], f[2])
	}
}

func (r *Run) fanoutOne(clients, events, per10s int) {
	name := fmt.Sprintf("fanout-%d", clients)
	defer r.guard(name)
	crowd := r.crowdOf(clients)
	sender := r.users(1)[0]
	id := r.room(append([]*User{sender}, crowd...))
	r.each(clients, 8, func(i int) error { _, err := r.sync(crowd[i], "", fanFilter, 0); return err })
	sent := make([]time.Time, events)
	gap := 10 * time.Second / time.Duration(per10s)
	s := r.begin(name, "deliveries")
	ctx, cancel := context.WithTimeout(r.ctx, time.Duration(events)*gap+22*time.Second)
	defer cancel()
	live := *r
	live.ctx = ctx // ends every request in time, so that a server that stopped answering is seen as missing deliveries
	var mu sync.RWMutex
	var wg sync.WaitGroup
	mark := fmt.Appendf(nil, "hsb%d-event-", r.seq.Add(1))
	for _, u := range crowd {
		u := u
		together(&wg, func() {
			for got := make([]bool, events); ; {
				raw, err := live.sync(u, u.next, fanFilter, 10000)
				now := time.Now()
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					s.add(0, 0, err)
					time.Sleep(100 * time.Millisecond)
					continue
				}
				for _, part := range bytes.Split(raw, mark)[1:] {
					n, _ := strconv.Atoi(string(part[:bytes.IndexByte(part, ';')]))
					if n < events && !got[n] {
						got[n] = true
						mu.RLock()
						s.add(1, now.Sub(sent[n]), nil)
						mu.RUnlock()
					}
				}
				if !contains(got, false) {
					return
				}
			}
		})
	}
	time.Sleep(2 * time.Second) // let every client begin its long poll
	began := time.Now()
	for i := 0; i < events; i++ {
		time.Sleep(time.Until(began.Add(time.Duration(i) * gap)))
		mu.Lock()
		sent[i] = time.Now()
		mu.Unlock()
		if _, err := live.send(sender, id, fmt.Sprintf("%s%d;", mark, i)); err != nil {
			s.add(0, 0, err)
		}
	}
	wg.Wait()
	if lost := clients*events - s.res.Ops; lost > 0 {
		s.res.Errors += lost
		s.res.Note = fmt.Sprintf("%d deliveries missing; %s", lost, s.res.Note)
	}
	s.end()
}

func syncs(r *Run) {
	defer r.guard("sync")
	us := r.users(r.syncMembers)
	ids := make([]string, r.syncRooms)
	r.each(len(ids), 4, func(i int) (err error) { ids[i], err = r.createRoom(us[0]); return })
	r.each(len(ids)*(len(us)-1), 8, func(i int) error { return r.join(us[1+i/len(ids)], ids[i%len(ids)]) })
	r.each(len(ids)*r.syncEvents, 8, func(i int) error { _, err := r.send(us[i%len(us)], ids[i%len(ids)], "hello"); return err })
	initial := func(filter string) func(int) (int, error) {
		return func(i int) (int, error) { _, err := r.sync(us[i%len(us)], "", filter, 0); return 1, err }
	}
	r.measure("sync-initial-lazy", "syncs", len(us), 1, initial(`{"room":{"timeline":{"limit":20},"state":{"lazy_load_members":true}}}`))
	r.measure("sync-initial-full", "syncs", len(us), 1, initial(`{"room":{"timeline":{"limit":20}}}`))
	r.measure("sync-incr", "syncs", r.incr, 4, func(i int) (int, error) {
		u := us[i%len(us)]
		_, err := r.sync(&User{t: u.t, Token: u.Token}, u.next, `{"room":{"timeline":{"limit":20}}}`, 0)
		return 1, err
	})
}

func messages(r *Run) {
	defer r.guard("messages")
	us := r.users(2)
	id := r.room(us)
	r.each(r.msgEvents, 10, func(i int) error {
		_, err := r.send(us[i%2], id, fmt.Sprintf("line %d of a room's history", i))
		return err
	})
	from := ""
	steps := r.msgPasses * (r.msgEvents/50 + 1)
	r.measure("messages", "events", steps, 1, func(i int) (int, error) {
		var got struct {
			Chunk []struct{}
			End   string
		}
		q := url.Values{"dir": {"b"}, "limit": {"50"}}
		if from != "" {
			q.Set("from", from)
		}
		err := r.do(us[1], "GET", "/_matrix/client/v3/rooms/"+url.PathEscape(id)+"/messages?"+q.Encode(), nil, &got)
		from = got.End
		return len(got.Chunk), err
	})
}

// readState measures the three ways to read a room's state.
func (r *Run) readState(u *User, room, suffix string) {
	for _, what := range []string{"members", "state", "joined_members"} {
		r.measure(what+suffix, "reads", r.stateReads, 1, func(int) (int, error) {
			var raw []byte
			err := r.do(u, "GET", "/_matrix/client/v3/rooms/"+url.PathEscape(room)+"/"+what, nil, &raw)
			if err == nil && len(raw) < 100 {
				err = fmt.Errorf("short answer: %s", raw)
			}
			return 1, err
		})
	}
}

func state(r *Run) {
	defer r.guard("state")
	u := r.users(1)[0]
	id := r.room(append([]*User{u}, r.crowdOf(r.stateMembers)...))
	r.measure("state-put", "events", r.stateEvents, 4, func(i int) (int, error) {
		return 1, r.do(u, "PUT", fmt.Sprintf("/_matrix/client/v3/rooms/%s/state/org.bench.item/k%d", url.PathEscape(id), i), obj{"n": i}, nil)
	})
	r.readState(u, id, "")
}

var rngLock sync.Mutex

func (r *Run) rngMu(fn func()) { rngLock.Lock(); defer rngLock.Unlock(); fn() }

func e2e(r *Run) {
	defer r.guard("e2e")
	us := r.crowdOf(r.e2eUsers)
	r.measure("keys-upload", "devices", len(us), 4, func(i int) (int, error) {
		u := us[i]
		_, priv, _ := ed25519.GenerateKey(nil)
		pub := b64.EncodeToString(priv.Public().(ed25519.PublicKey))
		dev := obj{"user_id": u.ID, "device_id": u.Dev, "algorithms": []string{"m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"},
			"keys": obj{"curve25519:" + u.Dev: pub, "ed25519:" + u.Dev: pub}}
		signObj(dev, u.ID, "ed25519:"+u.Dev, priv)
		otks := obj{}
		for k := 0; k < r.otks; k++ {
			key := obj{"key": b64.EncodeToString(fmt.Appendf(nil, "%-32d", r.round*1000+k))}
			signObj(key, u.ID, "ed25519:"+u.Dev, priv)
			otks[fmt.Sprintf("signed_curve25519:R%dK%d", r.round, k)] = key
		}
		return 1, r.do(u, "POST", "/_matrix/client/v3/keys/upload", obj{"device_keys": dev, "one_time_keys": otks}, nil)
	})
	ask := obj{}
	for _, u := range us {
		ask[u.ID] = []string{}
	}
	r.measure(fmt.Sprintf("keys-query-%d", len(us)), "queries", r.queries, 2, func(i int) (int, error) {
		var got struct {
			Keys map[string]obj `json:"device_keys"`
		}
		err := r.do(us[i%len(us)], "POST", "/_matrix/client/v3/keys/query", obj{"device_keys": ask}, &got)
		if err == nil && len(got.Keys) != len(us) {
			err = fmt.Errorf("%d users came back", len(got.Keys))
		}
		return 1, err
	})
	r.measure("keys-claim", "claims", len(us), 4, func(i int) (int, error) {
		u := us[i]
		return 1, r.do(us[(i+1)%len(us)], "POST", "/_matrix/client/v3/keys/claim", obj{"one_time_keys": obj{u.ID: obj{u.Dev: "signed_curve25519"}}}, nil)
	})
	if r.round == 1 {
		r.each(len(us)*(r.devicesPerUser-1), 4, func(i int) error { _, err := r.login(us[i%len(us)]); return err })
	}
	all := obj{}
	for _, u := range us {
		all[u.ID] = obj{"*": obj{"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AwgAEnAnnqOWmUTbNVKa"}}
	}
	n := len(us) * r.devicesPerUser
	r.measure(fmt.Sprintf("to-device-%d", n), "messages", r.toDevice, 1, func(i int) (int, error) {
		return n, r.do(us[i%len(us)], "PUT", fmt.Sprintf("/_matrix/client/v3/sendToDevice/m.room.encrypted/td%d", r.seq.Add(1)), obj{"messages": all}, nil)
	})
}
