echo "14 files changed since the last deployment."
printf 'Deploy them to production? [y/N] '
read -r answer
echo "You said: $answer"
