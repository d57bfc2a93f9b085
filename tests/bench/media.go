package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	_ "image/png" // thumbnails may be either
	"math"
	"math/rand"
)

func media(r *Run) {
	defer r.guard("media")
	u := r.users(1)[0]
	uris := make([]string, r.Scale.media)
	r.measure("media-upload", "MB", len(uris), 2, func(i int) (int, error) {
		data := make([]byte, 1<<20)
		r.rngMu(func() { r.rng.Read(data) })
		var got struct {
			URI string `json:"content_uri"`
		}
		err := r.do(u, "POST", "/_matrix/media/v3/upload?filename=bench.bin", data, &got)
		uris[i] = got.URI
		return 1, err
	})
	r.measure("media-download", "MB", len(uris), 2, func(i int) (int, error) {
		if uris[i] == "" {
			return 0, errors.New("was not uploaded")
		}
		var raw []byte
		err := r.do(u, "GET", "/_matrix/client/v1/media/download/"+uris[i][len("mxc://"):], nil, &raw)
		if err == nil && len(raw) != 1<<20 {
			err = fmt.Errorf("%d bytes came back", len(raw))
		}
		return 1, err
	})
}

// photo is a JPEG of 12 megapixels with about the detail of a photograph: soft shapes, and grain.
func photo(rng *rand.Rand) []byte {
	const w, h = 4000, 3000
	img := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	for y := 0; y < h; y++ {
		for x := 0; x < w; x++ {
			shape := 60*math.Sin(float64(x)/97+math.Sin(float64(y)/61)*2) + 40*math.Cos(float64(y)/43)
			img.Y[img.YOffset(x, y)] = uint8(128 + shape + float64(rng.Intn(17)-8))
			if x%2 == 0 && y%2 == 0 {
				c := img.COffset(x, y)
				img.Cb[c], img.Cr[c] = uint8(x*255/w), uint8(y*255/h)
			}
		}
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: 85}); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// photos: what a picture costs until its first thumbnail is there, its upload included (servers differ in when they make
// thumbnails), and what a thumbnail costs that was made before.
func photos(r *Run) {
	defer r.guard("photos")
	u := r.users(1)[0]
	picture := photo(r.rng)
	paths := make([]string, r.Scale.photos)
	get := func(path string) error {
		var raw []byte
		err := r.do(u, "GET", path, nil, &raw)
		if err == nil {
			var c image.Config
			if c, _, err = image.DecodeConfig(bytes.NewReader(raw)); err == nil && (c.Width > 800 || c.Height > 600) {
				err = fmt.Errorf("a thumbnail of %d x %d", c.Width, c.Height)
			}
		}
		return err
	}
	r.measure("photo-thumbnail", "photos", len(paths), 1, func(i int) (int, error) {
		var got struct {
			URI string `json:"content_uri"`
		}
		// What follows the picture's end makes it another file.
		data := append(append([]byte(nil), picture...), fmt.Sprintf("%s %d %d", r.tag, r.round, i)...)
		if err := r.do(u, "POST", "/_matrix/media/v3/upload?filename=photo.jpg", file{"image/jpeg", data}, &got); err != nil {
			return 0, err
		}
		paths[i] = "/_matrix/client/v1/media/thumbnail/" + got.URI[len("mxc://"):] + "?width=640&height=480&method=scale"
		return 1, get(paths[i])
	})
	r.measure("thumbnail-again", "thumbnails", 20*len(paths), 2, func(i int) (int, error) {
		if paths[i%len(paths)] == "" {
			return 0, errors.New("was not uploaded")
		}
		return 1, get(paths[i%len(paths)])
	})
}
