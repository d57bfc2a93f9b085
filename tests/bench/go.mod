module hsbench

go 1.19
