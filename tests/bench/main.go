// hsbench measures Matrix homeservers from outside, several of them interleaved in one run. See README.md.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Result is one measured phase of one scenario against one target in one round; it is printed as one JSON line.
type Result struct {
	Target   string  `json:"target"`
	Scenario string  `json:"scenario"`
	Round    int     `json:"round"`
	Ops      int     `json:"ops"`
	Unit     string  `json:"unit"`
	Seconds  float64 `json:"seconds"`
	Rate     float64 `json:"per_s"`
	Requests int     `json:"requests"`
	P50      float64 `json:"p50_ms"`
	P95      float64 `json:"p95_ms"`
	P99      float64 `json:"p99_ms"`
	Max      float64 `json:"max_ms"`
	Errors   int     `json:"errors"`
	Limited  int     `json:"rate_limited"`
	CPU      float64 `json:"server_cpu_s"`
	CPUPerOp float64 `json:"server_cpu_ms_per_op"`
	RSS      float64 `json:"rss_mb"` // main process
	PSS      float64 `json:"pss_mb"` // all processes of the server (children, database), shared pages counted once
	GenCPU   float64 `json:"generator_cpu_s"`
	Others   float64 `json:"others_cpus"` // CPUs kept busy by everything else on the machine
	Stored   float64 `json:"stored_bytes_per_op,omitempty"`
	JSON     float64 `json:"event_bytes,omitempty"`
	Note     string  `json:"note,omitempty"`
}

// Scale holds the size of every scenario.
type Scale struct {
	starts, users, logins                             int
	rooms, joins                                      int
	senders, sendRooms, sendMembers, sendEvents       int
	fan                                               [][3]int // clients, events, events per 10 s
	syncRooms, syncMembers, syncEvents, incr          int
	msgEvents, msgPasses                              int
	stateEvents, stateMembers, stateReads             int
	media                                             int
	e2eUsers, otks, queries, devicesPerUser, toDevice int
	fedPDUs                                           int
	fedJoin                                           []int
	manyRooms, idlePolls, storeMessages, storeState   int
	photos, presence                                  int
	limit                                             time.Duration // per measured phase
}

var scales = map[string]Scale{
	"small": {starts: 1, users: 10, logins: 10, rooms: 10, joins: 3, senders: 5, sendRooms: 5, sendMembers: 5, sendEvents: 200,
		fan: [][3]int{{50, 20, 50}}, syncRooms: 20, syncMembers: 4, syncEvents: 2, incr: 200, msgEvents: 200, msgPasses: 3,
		stateEvents: 100, stateMembers: 30, stateReads: 5, media: 10, e2eUsers: 20, otks: 20, queries: 5, devicesPerUser: 2, toDevice: 5,
		fedPDUs: 200, fedJoin: []int{500}, manyRooms: 50, idlePolls: 500, storeMessages: 500, storeState: 200,
		photos: 3, presence: 300, limit: 15 * time.Second},
	"medium": {starts: 3, users: 30, logins: 30, rooms: 40, joins: 10, senders: 20, sendRooms: 10, sendMembers: 20, sendEvents: 1000,
		fan: [][3]int{{100, 20, 20}}, syncRooms: 50, syncMembers: 6, syncEvents: 3, incr: 1000, msgEvents: 600, msgPasses: 5,
		stateEvents: 500, stateMembers: 200, stateReads: 10, media: 30, e2eUsers: 100, otks: 50, queries: 20, devicesPerUser: 10, toDevice: 10,
		fedPDUs: 1000, fedJoin: []int{5000}, manyRooms: 500, idlePolls: 10000, storeMessages: 10000, storeState: 2000,
		photos: 10, presence: 10000, limit: 20 * time.Second},
}

type scenario struct {
	name string
	run  func(*Run)
}

var scenarios = []scenario{{"startup", startup}, {"register", register}, {"rooms", rooms}, {"send", send}, {"fanout", fanout},
	{"sync", syncs}, {"messages", messages}, {"state", state}, {"media", media}, {"photos", photos}, {"e2e", e2e}, {"fedsend", fedsend}, {"fedjoin", fedjoin},
	{"manyrooms", manyRooms}, {"polls", polls}, {"storage", storage}, {"presence", presence}}

// Run is one scenario against one target in one round.
type Run struct {
	*Target
	Scale
	ctx   context.Context
	round int
	rng   *rand.Rand
	out   func(Result)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "hsbench:", err)
		os.Exit(1)
	}
}

func main() {
	var t Target
	var start, only string
	flag.StringVar(&t.Name, "name", "server", "label of the single target")
	flag.StringVar(&t.Base, "base", "", "single target: client-server base URL, e.g. http://127.0.0.1:8008")
	flag.StringVar(&t.Fed, "fed", "", "single target: federation base URL (default: --base)")
	flag.StringVar(&t.Secret, "shared-secret", "", "registration shared secret, used where m.login.dummy is refused")
	flag.StringVar(&start, "exec", "", "single target: command that runs the server in the foreground; hsbench starts and stops it")
	data := flag.String("data", "", "single target: files and folders (comma-separated patterns) that hold what the server stores, for storage")
	pid := flag.Int("pid", 0, "single target: pid of a running server, for RSS and CPU")
	pidfile := flag.String("pidfile", "", "file whose first line is one more pid to count (e.g. postmaster.pid)")
	targets := flag.String("targets", "", "JSON file with a list of targets, measured interleaved (see README.md)")
	flag.StringVar(&only, "scenarios", "", "comma-separated; default all: startup,register,rooms,send,fanout,sync,messages,state,media,photos,e2e,fedsend,fedjoin,manyrooms,polls,storage,presence")
	scaleName := flag.String("scale", "small", "small or medium")
	fan := flag.String("fanout", "", "override fanout as CLIENTS:EVENTS:EVENTS_PER_10S, comma-separated")
	fedJoin := flag.String("fedjoin", "", "override fedjoin member counts, comma-separated")
	rounds := flag.Int("rounds", 1, "repeat everything, interleaved over the targets")
	seed := flag.Int64("seed", 1, "seed of generated content")
	setup := flag.Duration("max", 5*time.Minute, "upper bound for one scenario on one target, set-up included")
	outFile := flag.String("out", "", "append the JSON lines to this file as well")
	ref := flag.String("ref", "", "target that the ratios are relative to (default: the first)")
	report := flag.String("report", "", "measure nothing: print the table of these JSON-line files (comma-separated)")
	markdown := flag.Bool("markdown", false, "print the table as Markdown")
	flag.Parse()

	if *report != "" {
		var all []Result
		for _, f := range strings.Split(*report, ",") {
			fh, err := os.Open(f)
			check(err)
			for sc := bufio.NewScanner(fh); sc.Scan(); {
				var r Result
				if json.Unmarshal(sc.Bytes(), &r) == nil && r.Scenario != "" {
					all = append(all, r)
				}
			}
			fh.Close()
		}
		table(all, *ref, *markdown)
		return
	}
	scale, ok := scales[*scaleName]
	if !ok {
		check(fmt.Errorf("no such scale: %s", *scaleName))
	}
	if *fan != "" {
		scale.fan = nil
		for _, f := range strings.Split(*fan, ",") {
			var v [3]int
			_, err := fmt.Sscanf(f, "%d:%d:%d", &v[0], &v[1], &v[2])
			check(err)
			scale.fan = append(scale.fan, v)
		}
	}
	if *fedJoin != "" {
		scale.fedJoin = nil
		for _, f := range strings.Split(*fedJoin, ",") {
			var n int
			_, err := fmt.Sscan(f, &n)
			check(err)
			scale.fedJoin = append(scale.fedJoin, n)
		}
	}
	list := []*Target{&t}
	if *targets != "" {
		data, err := os.ReadFile(*targets)
		check(err)
		list = nil
		check(json.Unmarshal(data, &list))
	} else {
		if t.Base == "" {
			check(fmt.Errorf("--base or --targets is needed"))
		}
		t.pid, t.Start = *pid, strings.Fields(start)
		if *pidfile != "" {
			t.PidFiles = []string{*pidfile}
		}
		if *data != "" {
			t.Data = strings.Split(*data, ",")
		}
	}
	var chosen []scenario
	for _, s := range scenarios {
		if only == "" || contains(strings.Split(only, ","), s.name) {
			chosen = append(chosen, s)
		}
	}
	var sink *os.File
	if *outFile != "" {
		var err error
		sink, err = os.OpenFile(*outFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		check(err)
	}
	var all []Result
	emit := func(r Result) {
		all = append(all, r)
		line, _ := json.Marshal(r)
		fmt.Println(string(line))
		if sink != nil {
			fmt.Fprintln(sink, string(line))
		}
	}
	ctx, stopSignals := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stopSignals()
	defer func() {
		for _, t := range list {
			t.stop()
		}
	}()
	for _, t := range list {
		if err := t.init(); err != nil {
			fmt.Fprintln(os.Stderr, "hsbench:", t.Name, err)
			return
		}
	}
	for round := 1; round <= *rounds; round++ {
		for _, s := range chosen {
			for i := range list {
				t := list[(i+round-1)%len(list)] // another order in every round
				if ctx.Err() != nil {
					return
				}
				sctx, cancel := context.WithTimeout(ctx, *setup)
				began := time.Now()
				s.run(&Run{Target: t, Scale: scale, ctx: sctx, round: round, rng: rand.New(rand.NewSource(*seed)), out: emit})
				cancel()
				t.client.CloseIdleConnections()
				fmt.Fprintf(os.Stderr, "# round %d %s %s: %.1fs with set-up\n", round, s.name, t.Name, time.Since(began).Seconds())
			}
		}
	}
	fmt.Println()
	table(all, *ref, *markdown)
}

func median(v []float64) float64 {
	v = sorted(v)
	if n := len(v); n == 0 {
		return 0
	} else if n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	} else {
		return v[n/2]
	}
}

// table prints, per scenario and target, medians over the rounds (best round in brackets) and ratios to the reference target.
func table(all []Result, ref string, md bool) {
	var names, phases []string
	groups := map[[2]string][]Result{}
	for _, r := range all {
		if !contains(names, r.Target) {
			names = append(names, r.Target)
		}
		if !contains(phases, r.Scenario) {
			phases = append(phases, r.Scenario)
		}
		groups[[2]string{r.Scenario, r.Target}] = append(groups[[2]string{r.Scenario, r.Target}], r)
	}
	if ref == "" && len(names) > 0 {
		ref = names[0]
	}
	rowf := "%-20s %-18s %16s %7s %16s %8s %9s %9s %7s %15s %8s %8s %6s  %s\n"
	if md {
		rowf = "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n"
	}
	fmt.Printf(rowf, "scenario", "target", "rate/s (best)", "×ref", "p50 ms (best)", "p95", "p99", "max", "×ref50", "cpu ms/op (best)", "rss MB", "pss MB", "errors", "unit, note")
	if md {
		fmt.Println("|" + strings.Repeat("---|", 14))
	}
	num := func(v float64) string {
		switch {
		case v == 0:
			return "-"
		case v < 10:
			return fmt.Sprintf("%.2f", v)
		case v < 100:
			return fmt.Sprintf("%.1f", v)
		}
		return fmt.Sprintf("%.0f", v)
	}
	for _, p := range phases {
		col := func(name string, f func(Result) float64) (v []float64) {
			for _, r := range groups[[2]string{p, name}] {
				if r.Ops > 0 {
					v = append(v, f(r))
				}
			}
			return
		}
		rate := func(r Result) float64 { return r.Rate }
		p50 := func(r Result) float64 { return r.P50 }
		for _, name := range names {
			rs := groups[[2]string{p, name}]
			if len(rs) == 0 {
				continue
			}
			errs, note := 0, ""
			for _, r := range rs {
				errs += r.Errors
				if r.Note != "" {
					note = ", " + r.Note
				}
			}
			v, l, c := col(name, rate), col(name, p50), col(name, func(r Result) float64 { return r.CPUPerOp })
			best, low, cpu, ratio, ratio50 := "-", "-", "-", "-", "-"
			if len(v) > 0 {
				best, low = num(median(v))+" ("+num(maxOf(v))+")", num(median(l))+" ("+num(minOf(l))+")"
				cpu = num(median(c)) + " (" + num(minOf(c)) + ")"
				if rv, rl := median(col(ref, rate)), median(col(ref, p50)); rv > 0 && rl > 0 {
					ratio, ratio50 = num(median(v)/rv), num(median(l)/rl)
				}
			}
			m := func(f func(Result) float64) string { return num(median(col(name, f))) }
			fmt.Printf(rowf, p, name, best, ratio, low, m(func(r Result) float64 { return r.P95 }), m(func(r Result) float64 { return r.P99 }),
				m(func(r Result) float64 { return r.Max }), ratio50, cpu,
				m(func(r Result) float64 { return r.RSS }), m(func(r Result) float64 { return r.PSS }), fmt.Sprint(errs), rs[0].Unit+note)
		}
	}
}
