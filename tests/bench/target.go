package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Target is one server under test.
type Target struct {
	Name     string   `json:"name"`
	Base     string   `json:"base"`
	Fed      string   `json:"fed"`
	Secret   string   `json:"secret"`
	Start    []string `json:"start"`
	PidFiles []string `json:"pidfiles"`
	Data     []string `json:"data"`
	pid      int
	cmd      *exec.Cmd
	done     chan struct{}
	client   *http.Client
	crowd    []*User
	limited  atomic.Int64
	seq      atomic.Int64
	tag      string
}

// User is a logged-in device.
type User struct {
	t                *Target
	ID, Token, Dev   string
	name, pass, next string
}

func (t *Target) init() error {
	t.tag = strconv.FormatInt(time.Now().UnixMilli()%1e9, 36)
	t.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4096, DisableCompression: true}}
	if t.Fed == "" {
		t.Fed = t.Base
	}
	if len(t.Start) == 0 {
		return nil
	}
	_, err := t.start(context.Background())
	return err
}

// start runs the start command and waits until the server answers.
func (t *Target) start(ctx context.Context) (time.Duration, error) {
	cmd := exec.Command(t.Start[0], t.Start[1:]...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	t.cmd, t.pid, t.done = cmd, cmd.Process.Pid, make(chan struct{})
	go func(done chan struct{}) { cmd.Wait(); close(done) }(t.done)
	for ctx, cancel := context.WithTimeout(ctx, 2*time.Minute); ; {
		var v struct{ Versions []string }
		err := t.call(ctx, "", "GET", "/_matrix/client/versions", nil, &v)
		if err == nil {
			cancel()
			return time.Since(began), nil
		}
		select {
		case <-t.done:
			cancel()
			return 0, errors.New("the server ended before it answered")
		case <-ctx.Done():
			cancel()
			return 0, fmt.Errorf("no answer: %w", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// stop ends the server that start began, by its pid.
func (t *Target) stop() {
	if t.cmd == nil {
		return
	}
	t.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-t.done:
	case <-time.After(15 * time.Second):
		t.cmd.Process.Kill()
		<-t.done
	}
	t.cmd = nil
}

// cpuClock returns the CPU seconds of a process by its own clock (clock_getcpuclockid(3)), exact to the nanosecond.
func cpuClock(pid int) (float64, bool) {
	const sched = 2 // CPUCLOCK_SCHED, of the whole process
	var ts syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(^pid<<3|sched), uintptr(unsafe.Pointer(&ts)), 0)
	return float64(ts.Sec) + float64(ts.Nsec)/1e9, errno == 0
}

// usage returns the CPU seconds (ended children included), the main process's RSS and the PSS of all processes, in MiB.
func (t *Target) usage() (cpu, rss, pss float64) {
	var todo, seen []int
	if t.pid > 0 {
		todo = append(todo, t.pid)
	}
	for _, f := range t.PidFiles {
		data, _ := os.ReadFile(f)
		if n, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(string(data), "\n", 2)[0])); err == nil {
			todo = append(todo, n)
		}
	}
	for len(todo) > 0 {
		p := todo[0]
		todo = todo[1:]
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil || contains(seen, p) {
			continue
		}
		seen = append(seen, p)
		f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		own := 2 // utime stime cutime cstime: ticks of 10 ms, so what has a finer clock is read from that
		if exact, ok := cpuClock(p); ok {
			cpu += exact
		} else {
			own = 0
		}
		for _, s := range f[11+own : 15] {
			n, _ := strconv.ParseFloat(s, 64)
			cpu += n / 100
		}
		if pages, _ := strconv.ParseFloat(f[21], 64); p == t.pid {
			rss = pages * float64(os.Getpagesize()) / (1 << 20)
		}
		roll, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p))
		if _, after, ok := strings.Cut(string(roll), "\nPss:"); ok {
			n, _ := strconv.ParseFloat(strings.Fields(after)[0], 64)
			pss += n / 1024
		}
		tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", p))
		for _, task := range tasks {
			kids, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", p, task.Name()))
			for _, k := range strings.Fields(string(kids)) {
				n, _ := strconv.Atoi(k)
				todo = append(todo, n)
			}
		}
	}
	return
}

// httpError is an answer other than 2xx.
type httpError struct {
	status int
	body   []byte
}

func (e *httpError) Error() string { return fmt.Sprintf("%d %.160s", e.status, e.body) }

// file is a body with a type of its own.
type file struct {
	kind string
	data []byte
}

// call makes one request; body is nil, []byte, file or JSON, out is nil, *[]byte or JSON. Rate limits are waited for and counted.
func (t *Target) call(ctx context.Context, token, method, path string, body, out any) error {
	var data []byte
	kind := "application/json"
	switch b := body.(type) {
	case nil:
	case []byte:
		data, kind = b, "application/octet-stream"
	case file:
		data, kind = b.data, b.kind
	default:
		var err error
		if data, err = json.Marshal(b); err != nil {
			return err
		}
	}
	for try := 0; ; try++ {
		req, err := http.NewRequestWithContext(ctx, method, t.Base+path, bytes.NewReader(data))
		if err != nil {
			return err
		}
		if body != nil {
			req.Header.Set("Content-Type", kind)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := t.client.Do(req)
		if err != nil {
			return err
		}
		raw, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		if resp.StatusCode == 429 && try < 8 {
			var l struct {
				Ms int `json:"retry_after_ms"`
			}
			json.Unmarshal(raw, &l)
			t.limited.Add(1)
			time.Sleep(time.Duration(min(max(l.Ms, 50), 5000)) * time.Millisecond)
			continue
		}
		if resp.StatusCode/100 != 2 {
			return &httpError{resp.StatusCode, raw}
		}
		if b, ok := out.(*[]byte); ok {
			*b = raw
		} else if out != nil {
			return json.Unmarshal(raw, out)
		}
		return nil
	}
}

func (r *Run) do(u *User, method, path string, body, out any) error {
	return u.t.call(r.ctx, u.Token, method, path, body, out)
}

type obj = map[string]any

// newUser registers a user; full walks through the UIA stages as a client does, otherwise the stage is sent at once.
func (r *Run) newUser(full bool) (*User, error) {
	t := r.Target
	name := fmt.Sprintf("hsb%s-%d", t.tag, t.seq.Add(1))
	u := &User{t: t, name: name, pass: "pw-" + name}
	var got struct {
		User  string `json:"user_id"`
		Token string `json:"access_token"`
		Dev   string `json:"device_id"`
	}
	body := obj{"username": name, "password": u.pass}
	if !full {
		body["auth"] = obj{"type": "m.login.dummy"}
	}
	err := t.call(r.ctx, "", "POST", "/_matrix/client/v3/register", body, &got)
	var he *httpError
	if errors.As(err, &he) && he.status == 401 {
		var uia struct{ Session string }
		json.Unmarshal(he.body, &uia)
		body["auth"] = obj{"type": "m.login.dummy", "session": uia.Session}
		err = t.call(r.ctx, "", "POST", "/_matrix/client/v3/register", body, &got)
	}
	if err != nil && t.Secret != "" {
		var n struct{ Nonce string }
		if err = t.call(r.ctx, "", "GET", "/_synapse/admin/v1/register", nil, &n); err == nil {
			mac := hmac.New(sha1.New, []byte(t.Secret))
			fmt.Fprintf(mac, "%s\x00%s\x00%s\x00notadmin", n.Nonce, name, u.pass)
			err = t.call(r.ctx, "", "POST", "/_synapse/admin/v1/register", obj{"nonce": n.Nonce, "username": name, "password": u.pass,
				"admin": false, "mac": hex.EncodeToString(mac.Sum(nil))}, &got)
		}
	}
	u.ID, u.Token, u.Dev = got.User, got.Token, got.Dev
	return u, err
}

func (r *Run) login(u *User) (*User, error) {
	var got struct {
		Token string `json:"access_token"`
		Dev   string `json:"device_id"`
	}
	err := u.t.call(r.ctx, "", "POST", "/_matrix/client/v3/login", obj{"type": "m.login.password", "password": u.pass,
		"identifier": obj{"type": "m.id.user", "user": u.name}}, &got)
	return &User{t: u.t, ID: u.ID, Token: got.Token, Dev: got.Dev, name: u.name, pass: u.pass}, err
}

// users registers n fresh users; crowdOf returns n users that scenarios share.
func (r *Run) users(n int) []*User {
	list := make([]*User, n)
	r.each(n, 4, func(i int) (err error) { list[i], err = r.newUser(false); return })
	return list
}

func (r *Run) crowdOf(n int) []*User {
	if missing := n - len(r.crowd); missing > 0 {
		r.crowd = append(r.crowd, r.users(missing)...)
	}
	return r.crowd[:n]
}

func (r *Run) createRoom(u *User) (string, error) {
	var got struct {
		ID string `json:"room_id"`
	}
	err := r.do(u, "POST", "/_matrix/client/v3/createRoom", obj{"preset": "public_chat", "name": "bench", "room_version": "10"}, &got)
	return got.ID, err
}

func (r *Run) join(u *User, room string) error {
	return r.do(u, "POST", "/_matrix/client/v3/rooms/"+url.PathEscape(room)+"/join", obj{}, nil)
}

func (r *Run) send(u *User, room, text string) (string, error) {
	var got struct {
		ID string `json:"event_id"`
	}
	err := r.do(u, "PUT", fmt.Sprintf("/_matrix/client/v3/rooms/%s/send/m.room.message/t%d", url.PathEscape(room), r.seq.Add(1)),
		obj{"msgtype": "m.text", "body": text}, &got)
	return got.ID, err
}

// setupFailed carries an error out of a scenario's set-up.
type setupFailed struct{ err error }

// each does fn(0..n-1) with conc workers and gives the scenario up at the first error.
func (r *Run) each(n, conc int, fn func(i int) error) {
	var wg sync.WaitGroup
	var next atomic.Int64
	var failed atomic.Pointer[error]
	for left := min(conc, n); left > 0; left-- {
		together(&wg, func() {
			for i := int(next.Add(1)) - 1; i < n && failed.Load() == nil; i = int(next.Add(1)) - 1 {
				if err := fn(i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if p := failed.Load(); p != nil {
		panic(setupFailed{*p})
	}
}

// guard turns a failed set-up of a scenario into a result with a note.
func (r *Run) guard(name string) {
	if e := recover(); e != nil {
		f, ok := e.(setupFailed)
		if !ok {
			panic(e)
		}
		r.out(Result{Target: r.Name, Scenario: name, Round: r.round, Errors: 1, Note: "set-up: " + f.err.Error()})
	}
}

func selfCPU() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// machineCPU returns the CPU seconds that the whole machine has been busy.
func machineCPU() (busy float64) {
	data, _ := os.ReadFile("/proc/stat")
	for i, s := range strings.Fields(string(data))[1:9] {
		if n, _ := strconv.ParseFloat(s, 64); i != 3 && i != 4 { // idle, iowait
			busy += n / 100
		}
	}
	return
}

// span is a measured stretch of time.
type span struct {
	r              *Run
	res            Result
	began          time.Time
	cpu, gen, busy float64
	limited        int64
	mu             sync.Mutex
	lat            []float64
}

func (r *Run) begin(name, unit string) *span {
	s := &span{r: r, res: Result{Target: r.Name, Scenario: name, Round: r.round, Unit: unit}, limited: r.limited.Load(), gen: selfCPU(), busy: machineCPU()}
	s.cpu, _, _ = r.usage()
	s.began = time.Now()
	return s
}

func (s *span) add(units int, took time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.res.Errors++
		if s.res.Note == "" {
			s.res.Note = err.Error()
		}
		return
	}
	s.res.Ops += units
	s.lat = append(s.lat, float64(took.Microseconds())/1000)
}

func (s *span) end() Result {
	x := &s.res
	x.Seconds = time.Since(s.began).Seconds()
	cpu, rss, pss := s.r.usage()
	x.CPU, x.RSS, x.PSS, x.GenCPU = cpu-s.cpu, rss, pss, selfCPU()-s.gen
	x.Others = max(0, (machineCPU()-s.busy-x.CPU-x.GenCPU)/x.Seconds)
	x.Limited = int(s.r.limited.Load() - s.limited)
	x.Requests = len(s.lat)
	if x.Ops > 0 {
		x.Rate, x.CPUPerOp = float64(x.Ops)/x.Seconds, 1000*x.CPU/float64(x.Ops)
	}
	if n := len(s.lat); n > 0 {
		sort.Float64s(s.lat)
		at := func(q float64) float64 { return s.lat[min(int(q*float64(n)), n-1)] }
		x.P50, x.P95, x.P99, x.Max = at(.50), at(.95), at(.99), s.lat[n-1]
	}
	s.r.out(*x)
	return *x
}

// measure does fn(0..n-1) with conc workers for at most the scale's limit and reports it; fn returns how many units it did.
func (r *Run) measure(name, unit string, n, conc int, fn func(i int) (int, error)) Result {
	s := r.begin(name, unit)
	r.each(n, conc, func(i int) error {
		if time.Since(s.began) > r.limit || r.ctx.Err() != nil {
			return nil
		}
		t0 := time.Now()
		units, err := fn(i)
		s.add(units, time.Since(t0), err)
		return nil
	})
	return s.end()
}
