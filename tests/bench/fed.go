package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

var b64 = base64.RawStdEncoding

func canonical(v any) []byte { // json.Marshal sorts keys; everything signed here is ASCII with integers
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func without(o obj, keys ...string) obj {
	c := cloneMap(o)
	for _, k := range keys {
		delete(c, k)
	}
	return c
}

func signObj(o obj, who, key string, priv ed25519.PrivateKey) {
	o["signatures"] = obj{who: obj{key: b64.EncodeToString(ed25519.Sign(priv, canonical(without(o, "signatures", "unsigned"))))}}
}

// redacted follows the redaction rules of room version 10.
func redacted(ev obj) obj {
	keep := map[string][]string{"m.room.member": {"membership", "join_authorised_via_users_server"}, "m.room.create": {"creator"},
		"m.room.join_rules": {"join_rule", "allow"}, "m.room.history_visibility": {"history_visibility"},
		"m.room.power_levels": {"ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default"}}
	out := obj{}
	for _, k := range strings.Fields("type room_id sender state_key hashes signatures depth prev_events prev_state auth_events origin origin_server_ts membership") {
		if v, ok := ev[k]; ok {
			out[k] = v
		}
	}
	content := obj{}
	old, _ := ev["content"].(obj)
	for _, k := range keep[ev["type"].(string)] {
		if v, ok := old[k]; ok {
			content[k] = v
		}
	}
	out["content"] = content
	return out
}

func eventID(ev obj) string {
	h := sha256.Sum256(canonical(without(redacted(ev), "signatures", "unsigned")))
	return "$" + base64.RawURLEncoding.EncodeToString(h[:])
}

// remote is a fake homeserver on loopback: it answers key requests and joins over TLS and can join and send to others.
type remote struct {
	name string
	priv ed25519.PrivateKey
	srv  *http.Server
	mu   sync.Mutex
	room string   // the room it hosts
	make obj      // template for make_join
	body []byte   // `"state":[…],"auth_chain":[…]` of send_join
	hits []string // requests received, for diagnosis
}

func newRemote() (*remote, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	pub, priv, _ := ed25519.GenerateKey(nil)
	f := &remote{name: ln.Addr().String(), priv: priv}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "hsbench"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 1, 0), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, pub, priv)
	if err != nil {
		return nil, err
	}
	f.srv = &http.Server{Handler: f, TLSConfig: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: priv}}}}
	go f.srv.ServeTLS(ln, "", "")
	return f, nil
}

func (f *remote) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hits = append(f.hits, q.Method+" "+q.URL.Path)
	p := q.URL.Path
	reply := func(v any) { w.Header().Set("Content-Type", "application/json"); w.Write(canonical(v)) }
	switch {
	case strings.HasPrefix(p, "/_matrix/key/v2/server"):
		k := obj{"server_name": f.name, "valid_until_ts": time.Now().Add(24 * time.Hour).UnixMilli(), "old_verify_keys": obj{},
			"verify_keys": obj{"ed25519:b": obj{"key": b64.EncodeToString(f.priv.Public().(ed25519.PublicKey))}}}
		signObj(k, f.name, "ed25519:b", f.priv)
		reply(k)
	case strings.Contains(p, "/make_join/") && f.make != nil:
		ev := cloneMap(f.make)
		user, _ := url.PathUnescape(p[strings.LastIndex(p, "/")+1:])
		ev["sender"], ev["state_key"], ev["origin_server_ts"] = user, user, time.Now().UnixMilli()
		reply(obj{"room_version": "10", "event": ev})
	case strings.Contains(p, "/send_join/") && f.body != nil:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"origin":%q,"event":%s,"members_omitted":false,%s}`, f.name, body, f.body)
	case strings.Contains(p, "/federation/v1/send/"):
		reply(obj{"pdus": obj{}})
	case strings.HasSuffix(p, "/federation/v1/version"):
		reply(obj{"server": obj{"name": "hsbench", "version": "1"}})
	case strings.Contains(p, "/get_missing_events/"):
		reply(obj{"events": []obj{}})
	default:
		w.WriteHeader(404)
		reply(obj{"errcode": "M_NOT_FOUND", "error": "not here"})
	}
}

// event completes an event of this server: hashes, signature; it returns the event's id.
func (f *remote) event(ev obj) string {
	if ev["origin_server_ts"] == nil {
		ev["origin_server_ts"] = time.Now().UnixMilli()
	}
	h := sha256.Sum256(canonical(without(ev, "unsigned", "signatures", "hashes")))
	ev["hashes"] = obj{"sha256": b64.EncodeToString(h[:])}
	ev["signatures"] = obj{f.name: obj{"ed25519:b": b64.EncodeToString(ed25519.Sign(f.priv, canonical(without(redacted(ev), "signatures"))))}}
	return eventID(ev)
}

// request makes a signed federation request to the target.
func (f *remote) request(r *Run, dest, method, uri string, body obj, out any) error {
	sig := obj{"method": method, "uri": uri, "origin": f.name, "destination": dest}
	var data []byte
	if body != nil {
		sig["content"], data = body, canonical(body)
	}
	mac := b64.EncodeToString(ed25519.Sign(f.priv, canonical(sig)))
	req, err := http.NewRequestWithContext(r.ctx, method, r.Fed+uri, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", fmt.Sprintf(`X-Matrix origin="%s",destination="%s",key="ed25519:b",sig="%s"`, f.name, dest, mac))
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = &httpError{resp.StatusCode, raw}
	}
	if err != nil || out == nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(out)
}

// thread is a room of the server under test as the fake remote sees it: it appends events to it.
type thread struct {
	room, prev string
	depth      int64
	auth       []string
}

func (f *remote) joinRoom(r *Run, dest, user, room string) (*thread, error) {
	var made struct{ Event obj }
	uri := url.PathEscape(room) + "/" + url.PathEscape(user) + "?ver=10"
	if err := f.request(r, dest, "GET", "/_matrix/federation/v1/make_join/"+uri, nil, &made); err != nil {
		return nil, err
	}
	ev := without(made.Event, "event_id", "hashes", "signatures", "unsigned", "origin")
	ev["origin_server_ts"] = time.Now().UnixMilli()
	if c, ok := ev["content"].(obj); !ok || c["membership"] != "join" {
		return nil, fmt.Errorf("make_join gave %v", ev)
	}
	th := &thread{room: room, prev: f.event(ev)}
	var joined struct{ State []obj }
	err := f.request(r, dest, "PUT", "/_matrix/federation/v2/send_join/"+url.PathEscape(room)+"/"+url.PathEscape(th.prev), ev, &joined)
	th.auth = []string{th.prev}
	for _, s := range joined.State {
		if t := s["type"]; t == "m.room.create" || t == "m.room.power_levels" {
			th.auth = append(th.auth, eventID(s))
		}
	}
	if n, ok := ev["depth"].(json.Number); ok {
		th.depth, _ = n.Int64()
	}
	return th, err
}

// fedsend joins rooms of the server under test from the fake remote and pushes PDUs in transactions of 50. Answers may come
// before the PDUs are processed, so a transaction counts when its PDUs can be read; one more is in flight meanwhile.
func fedsend(r *Run) {
	defer r.guard("fedsend")
	fail := func(err error) {
		if err != nil {
			panic(setupFailed{err})
		}
	}
	f, err := newRemote()
	fail(err)
	defer f.srv.Close()
	local := r.users(1)[0]
	_, dest, _ := strings.Cut(local.ID, ":")
	user := "@bench:" + f.name
	threads := make([]*thread, 5)
	for i := range threads {
		threads[i], err = f.joinRoom(r, dest, user, r.room([]*User{local}))
		fail(err)
	}
	type txn struct {
		pdus []obj
		tips []string
		sent time.Time
	}
	var txns []*txn
	for left := r.fedPDUs / 50; left > 0; left-- {
		t := &txn{}
		for _, th := range threads {
			for left := 50 / len(threads); left > 0; left-- {
				th.depth++
				e := obj{"type": "m.room.message", "room_id": th.room, "sender": user, "depth": th.depth, "prev_events": []string{th.prev},
					"auth_events": th.auth, "content": obj{"msgtype": "m.text", "body": fmt.Sprintf("pdu %d", th.depth)}}
				th.prev = f.event(e)
				t.pdus = append(t.pdus, e)
			}
			t.tips = append(t.tips, th.prev)
		}
		txns = append(txns, t)
	}
	stamp := time.Now().UnixNano()
	s := r.begin("fedsend", "PDUs")
	visible := func(t *txn) {
		for i, tip := range t.tips {
			for {
				err := r.do(local, "GET", "/_matrix/client/v3/rooms/"+url.PathEscape(threads[i].room)+"/event/"+url.PathEscape(tip), nil, nil)
				if err == nil {
					break
				}
				if time.Since(t.sent) > r.limit || r.ctx.Err() != nil {
					s.add(0, 0, fmt.Errorf("a PDU did not become visible: %w", err))
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
		s.add(len(t.pdus), time.Since(t.sent), nil)
	}
	for i, t := range txns {
		if time.Since(s.began) > r.limit || s.res.Errors > 3 {
			txns = txns[:i]
			break
		}
		t.sent = time.Now()
		var got struct {
			Pdus map[string]struct{ Error string }
		}
		err := f.request(r, dest, "PUT", fmt.Sprintf("/_matrix/federation/v1/send/%d-%d", stamp, i),
			obj{"origin": f.name, "origin_server_ts": time.Now().UnixMilli(), "pdus": t.pdus, "edus": []obj{}}, &got)
		for id, p := range got.Pdus {
			if err == nil && p.Error != "" {
				err = errors.New(id + ": " + p.Error)
			}
		}
		if err != nil {
			s.add(0, 0, err)
		}
		if i > 0 {
			visible(txns[i-1])
		}
	}
	if len(txns) > 0 {
		visible(txns[len(txns)-1])
	}
	s.end()
}

// host generates a room of n members (all of them local to the fake remote) for others to join.
func (f *remote) host(n int) {
	f.room = fmt.Sprintf("!bench%d:%s", n, f.name)
	creator := "@u0:" + f.name
	var raw [][]byte
	prev, depth := []string{}, 0
	add := func(typ, sender, key string, content obj, auth []string) string {
		depth++
		ev := obj{"type": typ, "room_id": f.room, "sender": sender, "state_key": key, "content": content, "depth": depth, "prev_events": prev,
			"auth_events": auth, "origin_server_ts": time.Now().UnixMilli() - int64(n+10-depth)}
		id := f.event(ev)
		prev = []string{id}
		raw = append(raw, canonical(ev))
		return id
	}
	create := add("m.room.create", creator, "", obj{"room_version": "10", "creator": creator}, []string{})
	me := add("m.room.member", creator, creator, obj{"membership": "join"}, []string{create})
	pl := add("m.room.power_levels", creator, "", obj{"users": obj{creator: 100}, "events_default": 0, "state_default": 50}, []string{create, me})
	rules := add("m.room.join_rules", creator, "", obj{"join_rule": "public"}, []string{create, me, pl})
	add("m.room.history_visibility", creator, "", obj{"history_visibility": "shared"}, []string{create, me, pl})
	chain := raw[:4:4]
	for i := 1; i < n; i++ {
		u := fmt.Sprintf("@u%d:%s", i, f.name)
		add("m.room.member", u, u, obj{"membership": "join", "displayname": fmt.Sprintf("User %d", i)}, []string{create, pl, rules})
	}
	list := func(evs [][]byte) []byte {
		return concat([]byte("["), bytes.Join(evs, []byte(",")), []byte("]"))
	}
	f.body = concat([]byte(`"state":`), list(raw), []byte(`,"auth_chain":`), list(chain))
	f.make = obj{"type": "m.room.member", "room_id": f.room, "content": obj{"membership": "join"}, "depth": depth + 1, "prev_events": prev,
		"auth_events": []string{create, pl, rules}}
}

// fedjoin: the server under test joins a large room of the fake remote; then its state is read.
func fedjoin(r *Run) {
	for _, n := range r.fedJoin {
		func() {
			name := fmt.Sprintf("fedjoin-%d", n)
			defer r.guard(name)
			f, err := newRemote()
			if err != nil {
				panic(setupFailed{err})
			}
			defer f.srv.Close()
			f.host(n)
			u := r.users(1)[0]
			path, done := "/_matrix/client/v3/rooms/"+url.PathEscape(f.room), false
			// a server may answer before the join is complete, or give up waiting: it counts when /members is whole
			r.measure(name, "joins", 1, 1, func(int) (int, error) {
				via := url.QueryEscape(f.name)
				err := r.do(u, "POST", "/_matrix/client/v3/join/"+url.PathEscape(f.room)+"?server_name="+via+"&via="+via, obj{}, nil)
				for raw := []byte(nil); err == nil; time.Sleep(100 * time.Millisecond) {
					got := r.do(u, "GET", path+"/members", nil, &raw)
					if done = got == nil && len(raw) > 50*n; done {
						return 1, nil
					}
					if r.ctx.Err() != nil {
						return 0, fmt.Errorf("/members gave %d bytes, %v", len(raw), got)
					}
				}
				return 1, err
			})
			if !done {
				f.mu.Lock()
				fmt.Fprintln(os.Stderr, "# fake remote got:", strings.Join(f.hits[:min(len(f.hits), 20)], ", "))
				f.mu.Unlock()
				return
			}
			r.readState(u, f.room, fmt.Sprintf("-fed-%d", n))
		}()
	}
}
