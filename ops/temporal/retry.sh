# Sourced by the one-shot services. POSIX sh only: their images have BusyBox or dash, and no bash.

POINTLESS=65 # the exit status of a command that no retry can mend

# try COMMAND...: runs it until it succeeds, SETUP_ATTEMPTS times at most, SETUP_PAUSE seconds apart. Depending
# services wait for this container to end well, so that it must end; what the command said last is the reason.
try() {
  attempt=1
  last=${SETUP_ATTEMPTS:-60}
  while :; do
    status=0
    said=$("$@" 2>&1) || status=$?
    [ "$status" -ne 0 ] || return 0
    case $status in "$POINTLESS" | 126 | 127) attempt=$last ;; esac # the latter two: no such program
    if [ "$attempt" -ge "$last" ]; then
      printf '%s\ngave up: %s\n' "$said" "$*" >&2
      exit 1
    fi
    attempt=$((attempt + 1))
    sleep "${SETUP_PAUSE:-2}"
  done
}
