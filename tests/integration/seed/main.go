// Asks for the API's version as Invopop's API reference shows it, with the standard library only.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
)

func main() {
	endpoint, token := os.Args[1], os.Args[2]
	client := &http.Client{}
	req, err := http.NewRequest("GET", endpoint+"/auth/version", nil)
	if err != nil {
		fail(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)

	res, err := client.Do(req)
	if err != nil {
		fail(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		fail(fmt.Errorf("status %s", res.Status))
	}
	var version string
	if err := json.NewDecoder(res.Body).Decode(&version); err != nil {
		fail(err)
	}
	fmt.Println(version)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
