package main

// What Go 1.19 (Debian 12) lacks of the later standard library: minima, slices, maps, WaitGroup.Go.

import (
	"sort"
	"sync"
)

type number interface {
	~int | ~int64 | ~float64
}

func min[T number](a, b T) T {
	if b < a {
		return b
	}
	return a
}

func max[T number](a, b T) T {
	if b > a {
		return b
	}
	return a
}

func minOf[T number](v []T) T {
	least := v[0]
	for _, x := range v {
		least = min(least, x)
	}
	return least
}

func maxOf[T number](v []T) T {
	most := v[0]
	for _, x := range v {
		most = max(most, x)
	}
	return most
}

func contains[T comparable](v []T, x T) bool {
	for _, y := range v {
		if x == y {
			return true
		}
	}
	return false
}

func sorted[T number](v []T) []T {
	c := append([]T(nil), v...)
	sort.Slice(c, func(i, j int) bool { return c[i] < c[j] })
	return c
}

func cloneMap[K comparable, V any](m map[K]V) map[K]V {
	c := make(map[K]V, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

func concat(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return
}

// together runs fn in a goroutine that wg waits for.
func together(wg *sync.WaitGroup, fn func()) {
	wg.Add(1)
	go func() {
		defer wg.Done()
		fn()
	}()
}

// drop gives v less every x.
func drop[T comparable](v []T, x T) (rest []T) {
	for _, y := range v {
		if y != x {
			rest = append(rest, y)
		}
	}
	return
}
