//go:build tools

// Package peers pins the version whose definition of PodMonitor build.sh takes; nothing of it is built.
package peers
