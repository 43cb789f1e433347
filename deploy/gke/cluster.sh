#!/bin/bash
# Makes a GKE cluster for latentcrf and puts everything on it. Read it, then:
#   PROJECT=my-project BUCKET=my-bucket IMAGE=europe-west4-docker.pkg.dev/my-project/latentcrf/latentcrf:SHA ./cluster.sh
# Every step may be run again. Undo: gcloud container clusters delete latentcrf --region "$REGION".
set -euo pipefail
cd "$(dirname "$0")"
: "${PROJECT:?a Google Cloud project}" "${BUCKET:?a bucket for outputs and teachers}" "${IMAGE:?deploy/Dockerfile, built and pushed}"
REGION=${REGION:-europe-west4}
GPU=${GPU:-nvidia-l4} MACHINE=${MACHINE:-g2-standard-12}
gcloud() { command gcloud --project "$PROJECT" --quiet "$@"; }

# On-demand nodes for Ray's head, flows and Prefect. Workload identity: pods have no key files.
gcloud container clusters describe latentcrf --region "$REGION" >/dev/null 2>&1 \
    || gcloud container clusters create latentcrf --region "$REGION" --num-nodes 1 --machine-type e2-standard-8 \
        --enable-autoscaling --min-nodes 0 --max-nodes 4 --workload-pool "$PROJECT.svc.id.goog"

# GPU nodes, none until a stage asks for them. The model cache and Ray's files are on their local SSDs.
for kind in spot ondemand; do
    gcloud container node-pools describe "gpu-$kind" --cluster latentcrf --region "$REGION" >/dev/null 2>&1 && continue
    price=(); [[ $kind = spot ]] && price=(--spot)
    gcloud container node-pools create "gpu-$kind" --cluster latentcrf --region "$REGION" "${price[@]}" \
        --machine-type "$MACHINE" --accelerator "type=$GPU,count=1,gpu-driver-version=default" \
        --ephemeral-storage-local-ssd count=1 --num-nodes 0 --enable-autoscaling --min-nodes 0 --max-nodes 8
done
gcloud container clusters get-credentials latentcrf --region "$REGION"

# The pods' own account may read and write the bucket: no service account of Google's stands between.
number=$(gcloud projects describe "$PROJECT" --format 'value(projectNumber)')
pool="principal://iam.googleapis.com/projects/$number/locations/global/workloadIdentityPools/$PROJECT.svc.id.goog"
gcloud storage buckets describe "gs://$BUCKET" >/dev/null 2>&1 \
    || gcloud storage buckets create "gs://$BUCKET" --location "$REGION" --uniform-bucket-level-access
gcloud storage buckets add-iam-policy-binding "gs://$BUCKET" --role roles/storage.objectUser \
    --member "$pool/subject/ns/latentcrf/sa/latentcrf" >/dev/null

# KubeRay >= 1.7 runs Ray.
helm upgrade --install kuberay-operator kuberay-operator --repo https://ray-project.github.io/kuberay-helm/ \
    --version 1.7.0 --namespace kuberay --create-namespace

kubectl apply -f access.yaml
kubectl -n latentcrf get secret postgres >/dev/null 2>&1 \
    || kubectl -n latentcrf create secret generic postgres --from-literal "password=$(openssl rand -hex 32)"
kubectl kustomize . | sed "s|image: latentcrf:cuda|image: $IMAGE|" | kubectl apply -f -
kubectl -n latentcrf rollout status deployment/prefect-server --timeout 15m

# The pool, the deployments and the automations, from a pod of the same image beside the server.
kubectl -n latentcrf exec -i deployment/prefect-server -- bash -c "
    cat > /tmp/work-pool.json
    export PREFECT_API_URL=http://127.0.0.1:4200/api
    prefect work-pool create latentcrf-gke --type kubernetes --base-job-template /tmp/work-pool.json --overwrite &&
    prefect --no-prompt deploy --prefect-file deploy/prefect.yaml --name '*/gke' --job-variable image=$IMAGE &&
    python -m deploy.automations" < work-pool.json
echo "kubectl -n latentcrf port-forward service/prefect-server 4200   # then http://127.0.0.1:4200"
