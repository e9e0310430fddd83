package bench

import "testing"

const diskstats = `   7       0 loop0 43 1 692 21 1491 2786 35098 1515 0 1544 2745 0 0 0 0 1068 1208
   7       1 loop1 0 0 0 0 0 0 0 0 0 0 0
 254       0 vda 308583 43676 10179402 83270 419528 385248 19098376 136064 0 62340 246611 362375 53 11703784 20817 98376 6458
`

func TestFlushesOf(t *testing.T) {
	for number, want := range map[string]int64{
		"7:0": 1068, "254:0": 98376,
		"7:1": -1, // a kernel that does not count them
		"8:0": -1, "": -1,
	} {
		if got := flushesOf(diskstats, number); got != want {
			t.Errorf("%q has %d flushes, not %d", number, got, want)
		}
	}
	if n := flushesBelow("/proc")(); n != -1 {
		t.Errorf("/proc has %d flushes", n)
	}
	if n := flushesBelow("/nowhere")(); n != -1 {
		t.Errorf("/nowhere has %d flushes", n)
	}
}
