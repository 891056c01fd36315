// The controllers of cert-manager that issue a certificate from an authority within the cluster, as its own program starts
// them, whose module is not to be had by itself: those for ACME, Vault and Venafi, and leader election, are left out.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"os/signal"
	"sync"
	"syscall"

	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	"github.com/cert-manager/cert-manager/pkg/controller/issuers"

	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
)

// What its program has on by default, as far as a certificate of such an authority needs it.
var wanted = []string{
	issuers.ControllerName, approver.ControllerName, ca.CRControllerName, selfsigned.CRControllerName,
	issuing.ControllerName, keymanager.ControllerName, readiness.ControllerName, requestmanager.ControllerName,
	revisionmanager.ControllerName, trigger.ControllerName,
}

func main() {
	var options controller.ContextOptions
	flag.StringVar(&options.Kubeconfig, "kubeconfig", "", "of the cluster")
	flag.Parse()
	if err := run(options); err != nil {
		log.Fatal(err)
	}
}

func run(options controller.ContextOptions) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	options.ClusterResourceNamespace = "cert-manager"
	options.KubernetesAPIQPS, options.KubernetesAPIBurst = 20, 50
	options.CertificateOptions.CopiedAnnotationPrefixes = []string{"*"}
	factory, err := controller.NewContextFactory(ctx, options)
	if err != nil {
		return err
	}
	var controllers []controller.Interface
	for _, name := range wanted {
		made, err := controller.Known()[name](factory)
		if err != nil {
			return errors.Join(errors.New("cannot make "+name), err)
		}
		controllers = append(controllers, made)
	}
	shared, err := factory.Build()
	if err != nil {
		return err
	}
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	var running sync.WaitGroup
	ends := make([]error, len(controllers))
	for i, one := range controllers {
		running.Go(func() {
			ends[i] = one.Run(2, ctx)
			stop()
		})
	}
	running.Wait()
	return errors.Join(ends...)
}
