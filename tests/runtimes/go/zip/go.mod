module action

go 1.24
