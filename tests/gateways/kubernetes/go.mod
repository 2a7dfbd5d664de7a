module project-vault/tests/kubernetes

go 1.24

require (
	github.com/PaesslerAG/jsonpath v0.1.1
	gopkg.in/yaml.v3 v3.0.1
)

require github.com/PaesslerAG/gval v1.0.0 // indirect
